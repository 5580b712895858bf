"""The version stands in mirox_tokens.control and nowhere else."""
import re

from tree import VERSION, files, name_of, report

number = re.escape(VERSION)
pattern = re.compile(rf"mirox_tokens(--|[\s_-]?v?){number}(?![\d.]*\d)|version\W{{0,5}}{number}(?![\d.]*\d)", re.I)
places = files("Makefile", "META.json.in", "README.md", "CONTRIBUTING.md", "src/**/*", "scripts/*", ".ci/*", "sql/*", "docs/**/*.md",
               "test/**/*.mk", "test/**/*.pl", "test/**/*.pm", "test/**/*.cpp", "test/**/*.hpp", "test/**/*.spec")
report("version: only mirox_tokens.control holds it",
       [f"{name_of(path)}:{number_}: {line.strip()[:100]}" for path in places if path.suffix not in (".o", ".bc")
        for number_, line in enumerate(path.read_text(errors="replace").splitlines(), 1) if pattern.search(line)])
