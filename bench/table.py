"""Results as text and Markdown: one line per number, one column per server, and how many times vestnik is better than each peer."""


def number(value):
    if value is None:
        return "-"
    if value >= 1000:
        return "{:,.0f}".format(value)
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value


def troubles(result):
    """What makes a measurement suspect, in words; empty when it is clean."""
    if "error" in result:
        return result["error"]
    said = ["%d %s" % (result[k], k.replace("_", " ")) for k in
            ("lost", "doubled", "disordered", "lost_connections", "stanza_errors", "bad_pages", "morning_missing", "away_missing") if result.get(k)]
    if result.get("first_error"):
        said.append(result["first_error"])
    if result.get("acknowledged") == 0:
        said.append("stream management counters differ")
    if not said and not result.get("ok"):
        said.append("ended early")
    return ", ".join(said)


def table(works, servers, results):
    """Rows of cells (first row: heads) and the list of remarks."""
    peers = [s for s in servers if s != "vestnik"] if "vestnik" in servers else []
    rows = [["work", "measure", "unit", *servers, *("vestnik : " + p for p in peers)]]
    remarks = []
    for w in works:
        for s in servers:
            said = troubles(results[w.name].get(s, {}))
            if said:
                remarks.append("%s, %s: %s" % (w.name, s, said))
        for k, row in enumerate(w.rows):
            values = {}
            for s in servers:
                got = results[w.name].get(s, {})
                values[s] = got[row.key] * row.factor if row.key in got else None
            cells = [w.text if k == 0 else "", row.text, row.unit]
            cells += [number(values[s]) + (" !" if troubles(results[w.name].get(s, {})) else "") for s in servers]
            for p in peers:
                ours, theirs = values["vestnik"], values[p]
                better = None
                if ours and theirs and ours > 0 and theirs > 0:
                    better = theirs / ours if row.less else ours / theirs
                cells.append(number(better) + " x" if better else "-")
            rows.append(cells)
    return rows, remarks


def text(rows):
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = []
    for k, r in enumerate(rows):
        lines.append("  ".join(c.ljust(w) if i < 3 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())
        if k == 0:
            lines.append("-" * len(lines[0]))
    return "\n".join(lines)


def markdown(rows):
    lines = ["| " + " | ".join(r) + " |" for r in rows]
    lines.insert(1, "|" + "---|" * 3 + "---:|" * (len(rows[0]) - 3))
    return "\n".join(lines)
