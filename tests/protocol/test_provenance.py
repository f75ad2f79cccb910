from fastslow.protocol import provenance


def test_peak_memory_is_in_mib():
    # A process with torch in it takes more than 50 MiB and less than 64 GiB.
    assert 50 < provenance.peak_memory_mib() < 64 * 1024


def test_versions_name_what_a_number_depends_on(monkeypatch):
    monkeypatch.setattr(provenance.metadata, "version", lambda name: f"version of {name}")
    assert provenance.versions().keys() == {"python", "fastslow", "torch", "numpy"}
    assert provenance.versions()["torch"] == "version of torch"
