"""One module per kind of question, imported when one is asked: `ask(question, asked)` gives its outcome."""
