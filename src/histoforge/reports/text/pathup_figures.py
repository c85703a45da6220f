"""Figures of the PathUp paper (BRACS, seven classes, Inception features, 10,000 images, five generations).

A3-10: the rows of Table 2 repeat those of Table 1, with two KIDs for one model, and the two rows of the model without
alignment differ; they are quoted as they are printed.
"""

from collections.abc import Mapping

Figure = tuple[float, float]
"""A mean and its standard deviation."""
Figures = tuple[Figure, Figure, Figure, Figure]
"""Improved precision, improved recall, FID, and KID x 1000."""

OVERVIEW, PATCH = "overview", "patch"
OURS_OVERVIEW: Figures = ((0.964, 0.012), (0.592, 0.026), (45.359, 3.732), (8.139, 0.413))

TABLE_1: Mapping[tuple[str, str], Figures] = {
    (OVERVIEW, "stylegan2"): ((0.656, 0.087), (0.417, 0.044), (69.375, 3.942), (24.455, 2.513)),
    (OVERVIEW, "vqgan"): ((0.710, 0.092), (0.402, 0.041), (78.617, 3.732), (25.307, 1.212)),
    (OVERVIEW, "pathup:none"): ((0.891, 0.037), (0.343, 0.036), (98.056, 4.191), (20.751, 2.794)),
    (OVERVIEW, "pathup:entropy"): OURS_OVERVIEW,
    (PATCH, "stylegan2"): ((0.405, 0.105), (0.337, 0.089), (125.493, 5.051), (43.709, 3.988)),
    (PATCH, "vqgan"): ((0.828, 0.078), (0.391, 0.063), (103.742, 5.907), (28.087, 2.370)),
    (PATCH, "pathup:none"): ((0.883, 0.090), (0.310, 0.072), (95.429, 4.218), (19.638, 1.294)),
    (PATCH, "pathup:entropy"): ((0.955, 0.021), (0.608, 0.033), (66.729, 2.184), (11.742, 0.891)),
}
"""Table 1, by level and method; its LDM is our model without alignment."""
TABLE_2: Mapping[tuple[str, str], Figures] = {
    (OVERVIEW, "pathup:none"): ((0.906, 0.093), (0.322, 0.084), (83.371, 5.852), (20.795, 2.049)),
    (OVERVIEW, "pathup:prompt"): ((0.959, 0.045), (0.393, 0.063), (59.231, 5.471), (11.173, 1.207)),
    (OVERVIEW, "pathup:entropy"): OURS_OVERVIEW,
    (PATCH, "pathup:none"): ((0.907, 0.084), (0.324, 0.106), (91.653, 5.932), (9.167, 1.783)),
    (PATCH, "pathup:prompt"): ((0.943, 0.042), (0.417, 0.069), (68.962, 4.510), (11.509, 0.913)),
    (PATCH, "pathup:entropy"): ((0.955, 0.021), (0.608, 0.033), (66.729, 2.184), (10.742, 0.891)),
}
"""Table 2, by level ('high' and 'low resolution') and alignment."""
TABLE_3: Mapping[str, Figures] = {
    "latent_sr": ((0.837, 0.085), (0.376, 0.083), (108.439, 4.316), (17.591, 1.019)),
    "bsrgan": ((0.645, 0.102), (0.382, 0.097), (153.973, 5.791), (42.920, 3.563)),
    "tracking": ((0.971, 0.023), (0.633, 0.035), (57.642, 1.248), (9.837, 0.692)),
}
"""Table 3, by upscaler; tiles of large images against real patches."""
TABLE_4: Mapping[str, Figures] = {
    "none": ((0.939, 0.034), (0.587, 0.039), (76.278, 3.72), (9.814, 1.036)),
    "paper": OURS_OVERVIEW,
}
"""Table 4, by weight map."""
TABLE_6: Mapping[str, tuple[Figure, ...]] = {
    "ViT-L": ((65.527, 1.077), (43.051, 2.729), (31.149, 1.514), (67.071, 3.081), (33.297, 1.393), (43.038, 2.417),
              (69.854, 1.039), (50.427, 1.892)),
    "ViT-L, random": ((64.489, 2.095), (52.827, 2.713), (33.264, 1.694), (65.215, 2.509), (39.854, 2.058),
                      (45.591, 3.031), (71.457, 1.097), (53.242, 2.171)),
    "ViT-L, PathUp": ((68.041, 1.048), (55.964, 2.159), (40.062, 1.317), (66.834, 2.582), (37.752, 1.194),
                      (50.015, 2.261), (72.492, 0.784), (55.871, 1.621)),
    "ADMIL": ((72.473, 1.674), (51.531, 2.409), (38.853, 2.461), (68.801, 2.975), (35.783, 2.475), (52.144, 3.597),
              (83.314, 1.289), (57.557, 2.554)),
    "ADMIL, random": ((73.245, 1.211), (53.443, 2.756), (45.136, 3.258), (67.734, 2.781), (43.796, 2.724),
                      (55.037, 2.836), (81.056, 2.071), (59.921, 2.455)),
    "ADMIL, PathUp": ((75.080, 1.207), (61.425, 2.047), (51.937, 2.479), (69.921, 2.753), (44.675, 2.078),
                      (57.052, 2.427), (83.328, 1.914), (63.345, 2.129)),
}  # fmt: skip
"""Table 6, F1 in percent by class and the mean, by classifier and what it was trained with."""
TABLE_6_CLASSES = ("N", "PB", "UDH", "FEA", "ADH", "DCIS", "IC")
