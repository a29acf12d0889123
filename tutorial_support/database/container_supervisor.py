"""Runs the Docker container for as long as somebody uses it."""

import sys
import time

from docker.errors import DockerException, NotFound

from .container import make_container, remove_leftovers
from .supervisor import Supervisor, supervise

LOOK_SECONDS = 1.0
STOP_SECONDS = 20


class ContainerSupervisor(Supervisor):
    looked = 0.0

    def start(self) -> None:
        remove_leftovers(self.folder)
        self.container = make_container(self.folder)
        try:
            self.container.start()
        except (DockerException, OSError) as error:
            self.stop()
            sys.exit(str(error))
        self.publish(self.container.get_container_host_ip(), self.container.get_exposed_port(5432))

    def is_alive(self) -> bool:
        if time.monotonic() - self.looked < LOOK_SECONDS:
            return True
        self.looked = time.monotonic()
        try:
            self.container.reload()
        except NotFound:
            return False
        return self.container.status == "running"

    def stop(self) -> None:
        if self.container._container is not None:
            self.container.get_wrapped_container().stop(timeout=STOP_SECONDS)
        self.container.stop()


if __name__ == "__main__":
    supervise(ContainerSupervisor)
