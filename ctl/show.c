/* Printing answers of the API for people: short lines that can be grepped. Main thread of vestnikctl. */
#include "ctl/show.h"
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static const char *text(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static long long number(json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static bool yes(json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

static const char *when(json_t *o, const char *name, char out[32])
{
	time_t t = (time_t)(number(o, name) / 1000);
	struct tm tm;

	strftime(out, 32, "%Y-%m-%d %H:%M:%S", localtime_r(&t, &tm));
	return out;
}

void show_import(json_t *a)
{
	fputs(text(a, "report"), stdout);
	printf("added %lld, changed %lld, unchanged %lld, missing %lld, disabled %lld; departments: %lld new, %lld "
	       "removed\n",
	       number(a, "added"), number(a, "changed"), number(a, "unchanged"), number(a, "missing"),
	       number(a, "disabled"), number(a, "departments_added"), number(a, "departments_removed"));
}

void show_done(json_t *a)
{
	(void)a;
	puts("ok");
}

void show_users(json_t *a)
{
	size_t i;
	json_t *u;

	json_array_foreach(json_object_get(a, "users"), i, u)
		printf("%s%s%s%s\n", text(u, "jid"), yes(u, "admin") ? " admin" : "",
		       yes(u, "disabled") ? " disabled" : "", yes(u, "password") ? "" : " no-password");
}

void show_org(json_t *a)
{
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(a, "people"), i, p)
		printf("%lld %s %s (%s%s%s)%s\n", number(p, "id"), text(p, "jid"), text(p, "full_name"),
		       text(p, "department"), *text(p, "position") ? ", " : "", text(p, "position"),
		       yes(p, "head") ? " head" : "");
}

void show_pairs(json_t *a)
{
	const char *key;
	json_t *v;

	json_object_foreach(a, key, v)
	{
		if (json_is_string(v))
			printf("%-16s %s\n", key, json_string_value(v));
		else
			printf("%-16s %lld\n", key, (long long)json_integer_value(v));
	}
}

void show_sessions(json_t *a)
{
	size_t i;
	json_t *s;
	char t[32];

	json_array_foreach(json_object_get(a, "sessions"), i, s)
		printf("%s since %s %s priority=%lld %s%s %s\n", text(s, "jid"), when(s, "since_ms", t),
		       yes(s, "available") ? "available" : "unavailable", number(s, "priority"),
		       yes(s, "detached") ? "detached" : text(s, "ip"), yes(s, "inactive") ? " inactive" : "",
		       text(s, "tls"));
}

void show_audit(json_t *a)
{
	size_t i;
	json_t *r;
	char t[32];

	json_array_foreach(json_object_get(a, "acts"), i, r)
		printf("%lld %s %s %s %s %s\n", number(r, "number"), when(r, "time_ms", t), text(r, "actor"),
		       text(r, "action"), text(r, "target"), text(r, "detail"));
	printf("chain %s\n", text(a, "chain"));
}

void show_check(json_t *a)
{
	const char *name;
	json_t *t;

	json_object_foreach(json_object_get(a, "tables"), name, t) if (number(t, "records") || number(t, "damaged"))
		printf("%-12s %12lld records, %lld damaged\n", name, number(t, "records"), number(t, "damaged"));
	printf("hash %s\n%s\n", text(a, "hash"), yes(a, "ok") ? "ok" : "DAMAGED");
}

void show_token(json_t *a)
{
	puts(text(a, "token")); /* alone on its line, for scripts; it is never shown again */
}

void show_tokens(json_t *a)
{
	size_t i;
	json_t *t;

	json_array_foreach(json_object_get(a, "tokens"), i, t)
		printf("%s  %-20s %s%s%s\n", text(t, "id"), text(t, "name"), text(t, "scopes"),
		       *text(t, "expires") ? ", until " : "", text(t, "expires"));
}
