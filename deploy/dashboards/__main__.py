"""Writes the dashboards anew: `make docs`."""

from deploy.dashboards.files import FOLDER, dashboards

if __name__ == "__main__":
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)
