"""A TCP proxy that breaks what passes through it: cuts, hangs, drips, flips bits, and 503s."""

import socket
import threading
import time
from collections.abc import Callable

BLOCK = 16384
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class FaultyProxy:
    """Forwards to `port`; a fault strikes when `after` bytes have passed in its direction, `times` times.

    Attributes:
        struck: how often a fault has struck.
        on_strike: called at each strike, before it takes effect.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._fault, self._upstream, self._after, self._left, self._passed = "", False, 0, 0, 0
        self._for_good, self.struck = False, 0
        self.on_strike: Callable[[], None] = lambda: None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def arm(self, fault: str, after: int = 0, times: int = 1, upload: bool = False, for_good: bool = False) -> None:
        """Set the fault: 'cut', 'hang', 'drip', 'flip' or '503' (a connection is answered so instead of forwarded).

        Args:
            fault: its name.
            after: bytes that pass before it strikes.
            times: how often it strikes, each time after so many bytes.
            upload: whether it strikes what goes to the server.
            for_good: whether nothing passes any more once it has struck.
        """
        with self._lock:
            self._fault, self._after, self._left, self._upstream, self._passed = fault, after, times, upload, 0
            self._for_good, self.struck = for_good, 0

    def close(self) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if self._fault == "503" and self._strikes(0, upload=False):
            client.recv(BLOCK)
            client.sendall(UNAVAILABLE)
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self._target))
        threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
        self._pump(server, client, False)

    def _pump(self, source: socket.socket, target: socket.socket, upload: bool) -> None:
        try:
            while block := source.recv(BLOCK):
                if self._fault != "503" and self._strikes(len(block), upload):
                    self.on_strike()
                    if self._fault == "cut":
                        break
                    if self._fault == "hang":
                        self._ended.wait(60)
                        break
                    if self._fault == "flip":
                        block = block[:-1] + bytes([block[-1] ^ 2])
                    else:
                        for byte in block:
                            target.sendall(bytes([byte]))
                            time.sleep(0.05)
                target.sendall(block)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
            finally:
                end.close()

    def _strikes(self, size: int, upload: bool) -> bool:
        with self._lock:
            if not self._left or upload != self._upstream:
                return False
            self._passed += size
            if self._passed < self._after:
                return False
            self._passed, self.struck = 0, self.struck + 1
            if self._for_good:
                self._after = 0
            else:
                self._left -= 1
            return True
