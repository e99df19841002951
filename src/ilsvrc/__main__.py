"""Run the program as `python -m ilsvrc`."""

from ilsvrc.cli.main import run

if __name__ == "__main__":
    run()
