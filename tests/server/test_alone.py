"""What one process does at a time."""

from __future__ import annotations

import asyncio
import time

from dialogue.errors import StoreError
from dialogue.server.alone import alone
from dialogue.store.leases import Lease
from dialogue.store.sql import SqlTrackerStore
from tests.server.web import make_service


class Doing:
    """Something that runs until it is cancelled."""

    def __init__(self):
        self.runs = 0
        self.begun = 0

    async def run(self):
        self.begun += 1
        self.runs += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.runs -= 1


async def until(holds):
    late = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < late
        await asyncio.sleep(0.01)


async def ended(task):
    task.cancel()
    await asyncio.wait([task])


def test_another_goes_on_at_once_when_one_ends_and_after_the_lease_when_it_died(url):
    seconds = 0.5

    async def played():
        services = [make_service(SqlTrackerStore(url)) for _ in range(2)]
        one, other = Doing(), Doing()
        lease = [Lease(service.store.database, "listening", seconds=seconds) for service in services]
        first = asyncio.ensure_future(alone(services[0], lease[0], one.run))
        await until(lambda: one.runs)
        second = asyncio.ensure_future(alone(services[1], lease[1], other.run))
        await asyncio.sleep(4 * seconds)
        assert (one.runs, other.runs) == (1, 0), "the first one holds it as long as it lives"
        await ended(first)
        assert one.runs == 0
        await until(lambda: other.runs)
        third = Lease(services[0].store.database, "listening", seconds=seconds)
        assert not third.take()
        lease[1].take = dead  # it cannot hold its lease any more
        await until(third.take)
        await until(lambda: other.runs == 0)
        await ended(second)
        for service in services:
            await service.close()

    def dead():
        raise StoreError("the database does not answer")

    asyncio.run(played())
