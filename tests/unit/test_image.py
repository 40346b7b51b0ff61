"""Whether an image fits a stack's data, and which locale nodes get: the comparison alone. No engine is asked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.nodes.docker.image import Data, Image, get_disagreements, get_shortcomings
from components.nodes.locales import choose_locale, get_initial_locale, lacks_locale
from components.nodes.versions import describe_upgrade, get_extension_problem, get_major

IMAGE = Image("mine:1", "15.20", "12.1-1", "15", "12.1.12.citus-1", ("C", "C.utf8", "en_US.utf8"))
DATA = [Data("a_data", "15", "C.UTF-8"), Data("b_data", "15", "C.UTF-8")]


def test_an_image_of_the_same_versions_fits() -> None:
    """Whatever else is new in it; also where it says nothing of itself."""
    for image in (IMAGE, replace(IMAGE, postgres="15.4", labelled_postgres="", labelled_citus="")):
        assert get_disagreements(image, DATA, "12.1-1") == []
        assert get_shortcomings(image, "C.UTF-8") == []


@pytest.mark.parametrize(
    "image",
    [
        replace(IMAGE, postgres="16.4", labelled_postgres="16"),
        replace(IMAGE, postgres="16.4", labelled_postgres=""),
        replace(IMAGE, labelled_postgres="16"),
        replace(IMAGE, postgres="16beta1"),
    ],
)
def test_another_major_version_of_postgresql_is_refused_with_both(image: Image) -> None:
    """By the server as by the image's environment; in one line for all volumes, with what to do."""
    (problem,) = get_disagreements(image, DATA, "12.1-1")
    assert problem.startswith("citus:image = 'mine:1': it has PostgreSQL 16")
    assert "the data in a_data, b_data was made by PostgreSQL 15" in problem
    assert "set an image of PostgreSQL 15; or dump the data" in problem


@pytest.mark.parametrize(
    ("libraries", "extension", "said"),
    [
        (["12.1-1"], "13.0-1", "it has Citus 12.1-1, and the database has the extension citus 13.0-1"),
        (["12.1-1", "9.5.0.citus-1"], "12.1-1", "which cannot be taken back: keep 12.1"),
    ],
)
def test_an_older_citus_is_refused_with_both_versions(libraries: list[str], extension: str, said: str) -> None:
    """And with what to do."""
    assert said in get_extension_problem(libraries, extension, "keep {}")
    assert describe_upgrade(libraries, extension) == ""


@pytest.mark.parametrize(
    ("libraries", "extension"), [(["13.2-1"], "12.1-1"), (["12.1-1"], "12.0-1"), (["", "13.2.2.citus-1"], "12.1-1")]
)
def test_a_newer_citus_is_an_upgrade_with_both_versions(libraries: list[str], extension: str) -> None:
    """What it means is told before anything is touched."""
    assert get_extension_problem(libraries, extension, "keep {}") == ""
    assert f"Citus is upgraded from {extension} to {libraries[-1]}" in describe_upgrade(libraries, extension)


@pytest.mark.parametrize(
    ("libraries", "extension"), [(["12.1-2"], "12.1-1"), ([""], "12.1-1"), (["13.2-1"], ""), ([], "12.1-1")]
)
def test_what_serves_the_extension_or_is_not_known_is_no_problem(libraries: list[str], extension: str) -> None:
    """The schema's own revision may differ within a release."""
    assert get_extension_problem(libraries, extension, "keep {}") == ""


def test_an_image_without_what_nodes_need_is_refused() -> None:
    """Everything that it lacks is named in one line."""
    (problem,) = get_shortcomings(Image("plain", "17.1", "", missing=("bash",)), "C.UTF-8")
    assert problem.startswith("citus:image = 'plain': it has no Citus (citus.control) and no bash: choose an image")


def test_a_locale_that_an_image_lacks_is_refused_with_those_that_it_has() -> None:
    """An image that lists none is believed to have it."""
    (problem,) = get_shortcomings(IMAGE, "es_CO.UTF-8")
    assert problem.startswith(
        "citus:locale = 'es_CO.UTF-8': the image mine:1 does not have it; it has C, C.utf8, en_US.utf8"
    )
    assert get_shortcomings(replace(IMAGE, locales=()), "es_CO.UTF-8") == []


@pytest.mark.parametrize(
    ("wanted", "of_data", "chosen"),
    [
        ("", "", "C.UTF-8"),
        ("es_CO.UTF-8", "", "es_CO.UTF-8"),
        ("", "en_US.utf8", "en_US.utf8"),
        ("en_US.UTF-8", "en_US.utf8", "en_US.utf8"),
    ],
)
def test_new_nodes_get_the_locale_that_the_data_has(wanted: str, of_data: str, chosen: str) -> None:
    """The setting counts for data that is still to be made; its spelling is the C library's."""
    assert choose_locale(wanted, of_data) == (chosen, "")


def test_another_locale_than_the_datas_is_refused() -> None:
    """With both, and the ways out; the data's stays."""
    chosen, why = choose_locale("C", "C.UTF-8")
    assert chosen == "C.UTF-8"
    assert why.startswith("citus:locale = 'C': this stack's data was made with 'C.UTF-8'")


def test_the_locale_of_data_is_what_initdb_noted() -> None:
    """As it stands in postgresql.conf; nothing where it was taken out."""
    conf = "#lc_monetary = 'x'\nlc_messages = 'C'\nlc_monetary = 'es_CO.UTF-8'\t# locale for monetary formatting\n"
    assert get_initial_locale(conf) == "es_CO.UTF-8"
    assert (
        get_initial_locale("lc_monetary = C\t\t# locale for monetary formatting") == "C"
    )  # as newer versions write it
    assert get_initial_locale("# nothing") == ""
    assert lacks_locale("C.UTF-8", ["C", "POSIX"])
    assert not lacks_locale("C.UTF-8", ["C", "C.utf8"])


@pytest.mark.parametrize(("version", "major"), [("15.20", 15), ("19beta1", 19), ("9.6.24", 9), ("", None)])
def test_the_major_version_is_the_first_number(version: str, major: int | None) -> None:
    """As PG_VERSION has it, and a server tells it."""
    assert get_major(version) == major
