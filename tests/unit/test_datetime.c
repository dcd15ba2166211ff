/*
 * xml/datetime: XEP-0082 in both directions.
 */
#include "xml/datetime.h"
#include "base/err.h"
#include "tests/lib/test.h"
#include <time.h>

#define DAY UINT64_C(86400000)

TEST(known_instants)
{
	static const struct {
		uint64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 951782399999, "2000-02-28T23:59:59.999Z" },
		{ 951782400000, "2000-02-29T00:00:00.000Z" },
		{ 1709164800000, "2024-02-29T00:00:00.000Z" },
		{ 4107542399000, "2100-02-28T23:59:59.000Z" },
		{ 4107542400000, "2100-03-01T00:00:00.000Z" },
		{ 1795428930123, "2026-11-23T10:15:30.123Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};
	char out[DATETIME_MAX];
	uint64_t ms;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = datetime_print(rows[i].ms, out);
		is_str(str_of(out, n), str_c(rows[i].text));
		ok(datetime_parse(str_of(out, n), &ms) == 0 && ms == rows[i].ms, "back again");
	}
	ok(datetime_print(UINT64_MAX, out) == 24, "never longer");
}

TEST(every_day_agrees_with_the_c_library)
{
	unsigned wrong = 0;
	char out[DATETIME_MAX], want[DATETIME_MAX];
	uint64_t ms;

	for (uint64_t day = 0; day < 366 * 500; day++) {
		uint64_t at = day * DAY + day * 7919 % DAY;
		time_t t = (time_t)(at / 1000);
		struct tm tm;
		gmtime_r(&t, &tm);
		size_t n = strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%S", &tm);
		size_t got = datetime_print(at, out);
		wrong += got != 24 || memcmp(out, want, n) != 0;
		wrong += datetime_parse(str_of(out, got), &ms) != 0 || ms != at;
	}
	is_int(wrong, 0);
}

TEST(all_legal_forms)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
		{ "1969-07-21T02:56:15Z", UINT64_MAX }, /* before 1970 */
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01T00:00:00.5Z", 500 },
		{ "1970-01-01T00:00:00.1234567890123456789Z", 123 },
		{ "1970-01-01T00:00:00.000999Z", 0 },
		{ "1970-01-01T03:00:00+03:00", 0 },
		{ "1970-01-01T00:00:00-05:30", 19800000 },
		{ "1970-01-01T00:00:00.25+00:00", 250 },
		{ "1969-12-31T24:00:00Z", 0 },
		{ "1970-01-01T23:59:60Z", DAY },
		{ "2026-11-23T13:15:30.123+03:00", 1795428930123 },
	};
	uint64_t ms;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int err = datetime_parse(str_c(rows[i].text), &ms);
		ok(rows[i].ms == UINT64_MAX ? err == ERR_SYNTAX : err == 0 && ms == rows[i].ms, "%s: %d, %llu",
		   rows[i].text, err, (unsigned long long)ms);
	}
}

TEST(refused)
{
	static const char *const rows[] = {
		"",
		"Z",
		"1970",
		"1970-01-01",
		"1970-01-01T00:00:00",
		"1970-01-01T00:00Z",
		"1970-01-01 00:00:00Z",
		"1970-13-01T00:00:00Z",
		"1970-00-01T00:00:00Z",
		"1970-01-00T00:00:00Z",
		"1970-01-32T00:00:00Z",
		"2023-02-29T00:00:00Z",
		"2100-02-29T00:00:00Z",
		"1970-01-01T24:00:01Z",
		"1970-01-01T25:00:00Z",
		"1970-01-01T00:60:00Z",
		"1970-01-01T00:00:61Z",
		"1970-01-01T00:00:00.Z",
		"1970-01-01T00:00:00+0300",
		"1970-01-01T00:00:00+03",
		"1970-01-01T00:00:00+15:00",
		"1970-01-01T00:00:00+03:60",
		"1970-01-01T00:00:00Zx",
		"x1970-01-01T00:00:00Z",
		"197O-01-01T00:00:00Z",
		"-1970-01-01T00:00:00Z",
		"11970-01-01T00:00:00Z",
		"1970-1-1T00:00:00Z",
		"1970-01-01T00:00:00+03:00Z",
		"0000-01-01T00:00:00Z",
	};
	uint64_t ms;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		ok(datetime_parse(str_c(rows[i]), &ms) == ERR_SYNTAX, "refused: %s", rows[i]);
	ok(datetime_parse(STR_NONE, &ms) == ERR_SYNTAX, "no string");
}
