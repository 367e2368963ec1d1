"""The measured files of the benchmarks, as tables."""

from bioinspired.pages import speed


def test_every_measured_file_has_its_tables():
    made = {
        "attacks": lambda measured: [speed.goals(measured), *speed.cases(measured)],
        "training": lambda measured: [speed.loops(measured), speed.schedules(measured)],
        "slices": lambda measured: [speed.slices(measured)],
    }
    for name, tables in made.items():
        assert speed.files(name)
        for file in speed.files(name):
            measured = speed.read(file)
            assert speed.machine(measured).startswith("Measured on ")
            for one in tables(measured):
                assert len(one.data)


def test_slices_are_told_by_their_medians():
    measured = speed.read(speed.files("slices")[0])
    shown = speed.slices(measured).data.set_index("attack")
    for name, case in measured["cases"].items():
        middle = {which: sorted(seconds)[len(seconds) // 2] for which, seconds in case["seconds"].items()}
        assert shown.loc[name, "speed"] == f"× {middle['whole'] / middle['slices']:.1f}"
