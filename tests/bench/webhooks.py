"""Malformed deliveries, rightly signed, to every built-in channel: each is refused or read, nothing else is raised.

python -m tests.bench.webhooks --deliveries 10000
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

from dialogue.channels.base import RefusedError
from dialogue.channels.testing import check_incoming, malformed
from tests.dialogue.platforms import platforms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deliveries", type=int, default=10_000, help="over all channels")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    known = platforms()
    share = -(-options.deliveries // len(known))
    totals: Counter[str] = Counter()
    print(f"{'channel':<20} {'deliveries':>10} {'refused':>8} {'read':>8} {'heard':>8} {'ms each':>8}")
    for name, platform in known.items():
        counts: Counter[str] = Counter()
        spent = 0.0
        for delivery in malformed(platform, share, options.seed):
            start = time.process_time()
            try:
                incoming = platform.channel.receive(delivery)
                counts["heard"] += len(incoming.heard)
                counts["read"] += 1
            except RefusedError:
                counts["refused"] += 1
            else:
                check_incoming(incoming, platform.channel.name)
            spent += time.process_time() - start
        totals += counts
        each = 1000 * spent / share
        print(f"{name:<20} {share:>10} {counts['refused']:>8} {counts['read']:>8} {counts['heard']:>8} {each:>8.2f}")
    print(f"{'all':<20} {share * len(known):>10} {totals['refused']:>8} {totals['read']:>8} {totals['heard']:>8}")


if __name__ == "__main__":
    main()
