"""Regular expressions, JSON and dictionaries over some text."""

import json
import re

lines = ["%d: domain %d maps frame 0x%x of domain %d" % (i, i % 7, i * 37, i % 5) for i in range(4000)]
pattern = re.compile(r"(\d+): domain (\d+) maps frame (0x[0-9a-f]+) of domain (\d+)")
by_domain = {}
for line in lines:
    number, domain, frame, owner = pattern.match(line).groups()
    by_domain.setdefault(domain, []).append({"number": int(number), "frame": int(frame, 16), "owner": owner})
text = json.dumps(by_domain, sort_keys=True)
again = json.loads(text)
print(len(text), sum(entry["frame"] for entries in again.values() for entry in entries))
print(re.sub(r"[aeiou]", "*", text[:200]))
