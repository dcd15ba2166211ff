/* Names and values of the portal's colours. See chat_colour.h. */
#include "server/im/chat_colour.h"
#include "base/err.h"

static const struct {
	struct str name, hex;
} colours[] = {
	{ { "RED", 3 }, { "df532d", 6 } },	 { { "GREEN", 5 }, { "64a513", 6 } },
	{ { "MINT", 4 }, { "4ba984", 6 } },	 { { "LIGHT_BLUE", 10 }, { "4ba5c3", 6 } },
	{ { "DARK_BLUE", 9 }, { "3e99ce", 6 } }, { { "PURPLE", 6 }, { "8474c8", 6 } },
	{ { "AQUA", 4 }, { "1eb4aa", 6 } },	 { { "PINK", 4 }, { "f76187", 6 } },
	{ { "LIME", 4 }, { "58cc47", 6 } },	 { { "BROWN", 5 }, { "ab7761", 6 } },
	{ { "AZURE", 5 }, { "29619b", 6 } },	 { { "KHAKI", 5 }, { "728f7a", 6 } },
	{ { "SAND", 4 }, { "ba9c7b", 6 } },	 { { "MARENGO", 7 }, { "556574", 6 } },
	{ { "GRAY", 4 }, { "909090", 6 } },	 { { "GRAPHITE", 8 }, { "5e5f5e", 6 } },
	{ { "ORANGE", 6 }, { "e8a441", 6 } },
};
enum { ALL = sizeof colours / sizeof *colours };

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* Equal but for case and underscores: the newer API writes darkBlue. */
static bool same(struct str a, struct str b)
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < a.n && a.p[i] == '_')
			i++;
		while (k < b.n && b.p[k] == '_')
			k++;
		if (i == a.n || k == b.n)
			return i == a.n && k == b.n;
		if (upper(a.p[i++]) != upper(b.p[k++]))
			return false;
	}
}

int chat_colour_index(struct str name)
{
	for (int i = 0; i < ALL; i++)
		if (same(name, colours[i].name))
			return i;
	return ERR_SYNTAX;
}

uint8_t chat_colour_by_number(uint64_t number)
{
	return (uint8_t)(number % CHAT_COLOURS);
}

struct str chat_colour_name(uint8_t index)
{
	return colours[index < ALL ? index : 0].name;
}

struct str chat_colour_hex(uint8_t index)
{
	return colours[index < ALL ? index : 0].hex;
}
