"""The routes that end processes accept only the playground's requests for its own chats."""

import httpx

from tests.support.system.dev import Dev


def test_faults_refuse_other_pages_and_unknown_chats(running: Dev) -> None:
    before = running.processes()
    site = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    local = {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}
    # Over plain HTTP, browsers send Sec-Fetch-Site to localhost only.
    plain = {"origin": local["origin"]}
    with httpx.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client:
        paths = ("/playground/kill-worker?chat=c", "/playground/restart-api")
        foreign = [client.post(path, headers=h) for path in paths for h in (site, local, plain)]
        rebound = [client.post(path, headers={"host": "evil.example"}) for path in paths]
        unknown = client.post(paths[0])

    assert [response.status_code for response in (*foreign, *rebound)] == [403] * 8
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert running.processes() == before
