"""Staleness: a unit depends on the code it runs through, on all of it and on nothing else."""

import ast
import json
import subprocess
import sys
import textwrap

import pytest

from bioinspired import staleness

NETWORK = """
from bioinspired.trials import *
from bioinspired.trials.sleep import *
def network(defense=None, **recipe):
    return Network(data=Data(name="digits", size=8, train=32), architecture=Architecture(name="resnet18", width=1),
                   recipe=Recipe(epochs=1, batch=16, **recipe), seed=0, defense=defense)
def patches(defense=None):
    return Network(data=Data(name="patches", size=10, overlap=15), architecture=Architecture(name="linear"),
                   recipe=Recipe(epochs=1, batch=2), seed=0, defense=defense)
"""
NETWORKS = [
    "network()",
    "network(defense=DefectiveConv(keep='0.5'))",
    "network(defense=DIM())",
    "network(defense=DenoisedCNN())",
    "network(defense=BinaryInput())",
    "network(noise='0.1')",
    "network(adversary=PGDTraining(eps='0.1', steps=1))",
    "patches(OneLayerSleep(rate='64', inc='0.01', dec='0.01', beta='1', alpha='1', steps=9))",
    "patches(OneLayerControl(choice='deleted'))",
]
QUESTIONS = [
    "Measurement(question=Clean(), images=Images(n=8))",
    "Measurement(question=Corruption(name='gaussian_noise', strength='0.1'), images=Images(n=8))",
    "Measurement(question=Attack(name='pgd', eps='0.1', steps=1), images=Images(n=8))",
    "Measurement(question=Attack(name='autoattack', eps='1'), images=Images(n=2))",
    "Measurement(question=Checked(eps='0.01'), images=Images(n=300), sources=(network(),))",
    "Measurement(question=Attack(name='square', eps='1'), images=Images(n=2))",
    "Measurement(question=Distance(name='fmn', steps=2), images=Images(n=2))",
    "Measurement(question=Distance(name='deepfool', steps=2), images=Images(n=2))",
    "Measurement(question=Gallery(attack=Attack(name='pgd', eps='0.1')))",
    "Measurement(question=Attack(name='mi_fgsm', eps='0.1', steps=2), images=Images(n=8), sources=(network(),))",
    "Measurement(question=ConfidentTransfer(confidence=1, steps=2, searches=1), sources=(network(),))",
    "Measurement(question=Member(name='LinfBasicIterative'), images=Images(n=8))",
    "Measurement(question=Direct(steps=2, queries=2), images=Images(n=8))",
    "Measurement(question=LogitScale(name='pgd', factor='2', norm='linf', eps='0.1', steps=2), images=Images(n=8))",
    "Measurement(question=RepeatedNoise(level='0.1', repeats=2), images=Images(n=8))",
    "Measurement(question=OneLayerWeights(), sources=(patches(),))",
    "Measurement(question=OneLayerDistance(), sources=(patches(),))",
]


SCRIPT = """
import json, os, sys
import sklearn.datasets, torch._dynamo, torchvision, safetensors.torch

def train(expression):
    from bioinspired import training
    training.make(eval(expression))

def answer(expression):
    from bioinspired import data, measuring, training
    asked = eval(expression)
    asker = asked.sources[0] if asked.sources else network()
    model = training.assemble(asker).eval()
    split = data.select(data.load(asker.data, "test"), asked.images)
    if asked.is_transfer:
        measuring.transfer(model, measuring.craft(asked, split, [model]), split.labels, [model])
    else:
        measuring.measure(asked, model, split, [model for _ in asked.sources])

def mine():
    return [n for n, m in sys.modules.items() if n.startswith("bioinspired.") and not hasattr(m, "__path__")]

folder, cases = sys.argv[1], json.loads(sys.argv[2])
for number, (what, expression) in enumerate(cases):
    if os.fork() == 0:
        globals()[what](expression)
        with open(os.path.join(folder, str(number)), "w") as file:
            json.dump(mine(), file)
        os._exit(0)
    os.wait()
"""
RE_EXPORTED = {
    "bioinspired.corruptions.noises",
    "bioinspired.corruptions.patches",
    "bioinspired.defenses.sleep.phase",
}
"""Loaded because the `__init__` of their package names them, whichever of its modules is used; nothing in them runs."""

CASES = [("train", expression) for expression in NETWORKS] + [("answer", expression) for expression in QUESTIONS]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """For each case, the modules of the package that a fresh process has loaded after it."""
    folder = tmp_path_factory.mktemp("loaded")
    subprocess.run([sys.executable, "-c", NETWORK + SCRIPT, str(folder), json.dumps(CASES)], check=True)
    found = [json.loads((folder / str(n)).read_text()) for n in range(len(CASES))]
    return [{module for module in modules if staleness.counts(module)} - RE_EXPORTED for modules in found]


def trees(expression, which):
    scope = {}
    exec(NETWORK, scope)
    return staleness.closure(getattr(staleness, which)(eval(expression, scope)))


@pytest.mark.parametrize("case", range(len(CASES)), ids=[expression for _, expression in CASES])
def test_a_unit_loads_nothing_that_its_hash_does_not_cover(case, loaded):
    what, expression = CASES[case]
    if what == "train":
        assert loaded[case] <= trees(expression, "modules_of_network")
    else:
        making = trees("network()", "modules_of_network") | trees("patches()", "modules_of_network")
        assert loaded[case] <= trees(expression, "modules_of_measurement") | making


def test_what_is_not_used_does_not_count():
    assert "bioinspired.attacks.gradient" not in trees("network()", "modules_of_network")
    assert "bioinspired.defenses.defective_conv" not in trees("network()", "modules_of_network")
    assert "bioinspired.defenses.defective_conv" in trees(NETWORKS[1], "modules_of_network")
    assert "bioinspired.corruptions" not in trees(QUESTIONS[2], "modules_of_measurement")
    assert "bioinspired.attacks.ensemble" not in trees(QUESTIONS[2], "modules_of_measurement")
    assert "bioinspired.networks.vgg" not in trees("network()", "modules_of_network")


@pytest.fixture
def package(tmp_path, monkeypatch):
    monkeypatch.setattr(staleness, "PACKAGE", tmp_path)

    def write(**files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        staleness._tree.cache_clear()
        staleness.code_hash.cache_clear()
        return staleness.code_hash(frozenset({"bioinspired.a"}))

    yield write
    staleness._tree.cache_clear()
    staleness.code_hash.cache_clear()


A = '''
"""Says what it does."""
from bioinspired import b
from bioinspired.trials import X

def f(x):
    """A docstring."""
    import bioinspired.lazy
    return b.g(x)  # a comment
'''
B = "def g(x):\n    return x + 1\n"


def test_comments_docstrings_and_formatting_do_not_count(package):
    before = package(a=A, b=B, trials="X = 1", lazy="")
    same = A.replace("a comment", "another").replace("A docstring.", "Other words.").replace("b.g(x)", "b.g( x )")
    assert package(a=same) == before
    assert package(a=A.replace('    """A docstring."""\n', "")) == before


def test_code_counts_in_the_module_and_in_what_it_imports(package):
    before = package(a=A, b=B, trials="X = 1", lazy="")
    assert package(b=B.replace("+ 1", "+ 2")) != before
    assert package(b=B) == before
    assert package(a=A.replace("b.g(x)", "-b.g(x)")) != before


def test_declarations_data_and_lazy_imports_do_not_count(package):
    a = A + "\nfrom bioinspired import data\n"
    before = package(a=a, b=B, trials="X = 1", lazy="", data="Y = 1")
    assert package(trials="X = 2\nY = 3", lazy="z = 1", data="Y = 2") == before


def test_another_family_in_the_registry_does_not_count_but_other_constants_do(package):
    before = package(a='FAMILIES = ("mlp",)\nWIDTH = 1\n')
    assert package(a='FAMILIES = ("mlp", "vgg")\nWIDTH = 1\n') == before
    assert package(a='FAMILIES = ("mlp",)\nWIDTH = 2\n') != before


def test_package_files_only_point_to_modules():
    """A package's own file is not part of a hash unless it is imported by name, so it must not compute."""
    for path in staleness.PACKAGE.rglob("__init__.py"):
        for node in ast.parse(path.read_text()).body:
            imports = isinstance(node, ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign)
            lazy = isinstance(node, ast.FunctionDef) and node.name in ("__getattr__", "__dir__")
            text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            studies = path.parent.name == "studies"
            assert imports or lazy or text or typing_only or studies, (path, ast.unparse(node)[:80])
