/*
 * XEP-0082 DateTime: CCYY-MM-DDThh:mm:ss[.sss]TZD, TZD = Z or (+|-)hh:mm. Day arithmetic is done here on the
 * proleptic Gregorian calendar; the C library's functions depend on zone and locale. Instants before 1970 are
 * refused: ours are unsigned. No state: any thread.
 */
#include "xml/datetime.h"
#include "base/err.h"
#include <stdio.h>

#define DAY_MS 86400000u

/* Days since 1970-01-01; years begin in March so that the leap day ends them. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	unsigned from_march = month > 2 ? month - 3 : month + 9;
	int64_t leaps = y / 4 - y / 100 + y / 400;

	return y * 365 + leaps + (153 * from_march + 2) / 5 + day - 1 - 719468;
}

static unsigned days_in(uint64_t year, unsigned month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

size_t datetime_print(uint64_t wall_ms, char out[DATETIME_MAX])
{
	uint64_t days = wall_ms / DAY_MS, ms = wall_ms % DAY_MS, year;
	unsigned month = 1;
	int n;

	/* Close from below, then at most two steps up. Years of more than four digits do not exist in the profile. */
	if (days > (uint64_t)days_of(9999, 12, 31))
		days = (uint64_t)days_of(9999, 12, 31);
	year = 1970 + days / 366;
	while ((uint64_t)days_of((int64_t)year + 1, 1, 1) <= days)
		year++;
	days -= (uint64_t)days_of((int64_t)year, 1, 1);
	while (days >= days_in(year, month))
		days -= days_in(year, month++);
	n = snprintf(out, DATETIME_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned)year % 10000, month % 100,
		     (unsigned)days % 100 + 1, (unsigned)(ms / 3600000), (unsigned)(ms / 60000 % 60),
		     (unsigned)(ms / 1000 % 60), (unsigned)(ms % 1000));
	return (size_t)n;
}

/* Cuts exactly n digits and the byte that must follow ('\0': none). */
static bool cut_digits(struct str *s, unsigned n, char then, unsigned *out)
{
	unsigned v = 0, i = 0;

	for (; i < n; i++) {
		if (i == s->n || s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s->p[i] - '0');
	}
	if (then && (i == s->n || s->p[i++] != then))
		return false;
	*s = str_of(s->p + i, s->n - i);
	*out = v;
	return true;
}

/* Any number of digits after the point; what is finer than a millisecond is cut off. */
static bool cut_fraction(struct str *s, unsigned *out_ms)
{
	unsigned ms = 0, scale = 100;
	size_t i = 1;

	*out_ms = 0;
	if (s->n == 0 || s->p[0] != '.')
		return true;
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, scale /= 10)
		ms += scale * (unsigned)(s->p[i] - '0');
	if (i == 1)
		return false;
	*s = str_of(s->p + i, s->n - i);
	*out_ms = ms;
	return true;
}

static bool cut_zone(struct str *s, int *out_minutes)
{
	unsigned hours, minutes;
	int sign;

	*out_minutes = 0;
	if (str_eq(*s, STR("Z")) || str_eq(*s, STR("z")))
		return true;
	if (s->n != 6 || (s->p[0] != '+' && s->p[0] != '-'))
		return false;
	sign = s->p[0] == '-' ? -1 : 1;
	*s = str_of(s->p + 1, s->n - 1);
	if (!cut_digits(s, 2, ':', &hours) || !cut_digits(s, 2, 0, &minutes) || hours > 14 || minutes > 59)
		return false;
	*out_minutes = sign * (int)(hours * 60 + minutes);
	return true;
}

int datetime_parse(struct str s, uint64_t *out_wall_ms)
{
	unsigned year, month, day, hour, minute, second, ms;
	int zone;

	if (!cut_digits(&s, 4, '-', &year) || !cut_digits(&s, 2, '-', &month) || !cut_digits(&s, 2, 'T', &day) ||
	    !cut_digits(&s, 2, ':', &hour) || !cut_digits(&s, 2, ':', &minute) || !cut_digits(&s, 2, 0, &second) ||
	    !cut_fraction(&s, &ms) || !cut_zone(&s, &zone))
		return ERR_SYNTAX;
	/* 60 is a leap second; 24:00:00 is the end of the day (XML Schema 3.2.7). */
	bool day_end = hour == 24 && minute == 0 && second == 0 && ms == 0;
	if (month < 1 || month > 12 || day < 1 || day > days_in(year, month) || (hour > 23 && !day_end) ||
	    minute > 59 || second > 60)
		return ERR_SYNTAX;
	int64_t at = days_of(year, month, day) * (int64_t)DAY_MS +
		     ((int64_t)hour * 3600 + ((int64_t)minute - zone) * 60 + second) * 1000 + ms;
	if (at < 0)
		return ERR_SYNTAX;
	*out_wall_ms = (uint64_t)at;
	return 0;
}
