"""Write the dashboards. `make docs` runs it."""

from deploy.dashboards.files import FOLDER, dashboards

if __name__ == "__main__":
    for name, text in dashboards().items():
        (FOLDER / name).write_text(text)
