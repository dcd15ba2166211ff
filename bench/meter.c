/*
 * What the server used: CPU time of the whole process (all threads, also ended ones) from its CPU clock, in nanoseconds where
 * the kernel lets us, else from /proc/PID/stat in ticks; memory from /proc/PID/smaps_rollup. Then samples and the JSON result.
 */
#include "bench/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double stat_cpu_s(int pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return 0;
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	unsigned long user = 0, kernel = 0;
	const char *p = strrchr(text, ')');
	if (p)
		sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double clock_s(clockid_t id)
{
	struct timespec t = { 0 };
	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_memory(struct meter *m)
{
	char path[64], line[128];
	unsigned long kb;
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", bench.opt.pid);
	FILE *f = fopen(path, "r");
	if (!f)
		return;
	while (fgets(line, sizeof line, f)) {
		if (sscanf(line, "Rss: %lu", &kb) == 1)
			m->rss_kb = kb;
		else if (sscanf(line, "Pss: %lu", &kb) == 1)
			m->pss_kb = kb;
	}
	fclose(f);
}

void meter_read(struct meter *out)
{
	clockid_t id;
	*out = (struct meter){ .t = now_s(), .own_cpu_s = clock_s(CLOCK_PROCESS_CPUTIME_ID) };
	if (!bench.opt.pid)
		return;
	out->cpu_s = clock_getcpuclockid(bench.opt.pid, &id) == 0 ? clock_s(id) : stat_cpu_s(bench.opt.pid);
	read_memory(out);
}

/* ---- samples ---- */
static double *samples;
static size_t n_samples, samples_cap;

void samples_add(double us)
{
	if (n_samples == samples_cap) {
		samples_cap = samples_cap ? samples_cap * 2 : 65536;
		samples = realloc(samples, samples_cap * sizeof *samples);
		if (!samples)
			abort();
	}
	samples[n_samples++] = us;
}

void samples_reset(void)
{
	n_samples = 0;
}

size_t samples_count(void)
{
	return n_samples;
}

static int sample_order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

double samples_percentile(double q)
{
	if (!n_samples)
		return 0;
	qsort(samples, n_samples, sizeof *samples, sample_order);
	size_t i = (size_t)(q * (double)n_samples);
	return samples[i < n_samples ? i : n_samples - 1];
}

/* ---- results ---- */
static struct {
	const char *name;
	double value;
	char text[256];
} results[64];
static unsigned n_results;

void result(const char *name, double value)
{
	if (n_results == 64)
		abort();
	results[n_results].name = name;
	results[n_results++].value = value;
}

void result_text(const char *name, const char *value)
{
	char *out = results[n_results].text;
	result(name, 0);
	for (size_t n = 0; *value && n < sizeof results[0].text - 1; value++)
		if (*value != '"' && *value != '\\' && (unsigned char)*value >= ' ')
			out[n++] = *value;
	if (!out[0])
		n_results--;
}

void result_span(const struct meter *a, const struct meter *b, double ops)
{
	double s = b->t - a->t, cpu = b->cpu_s - a->cpu_s;
	result("seconds", s);
	result("ops", ops);
	result("ops_per_s", s > 0 ? ops / s : 0);
	result("cpu_us_per_op", ops > 0 ? cpu * 1e6 / ops : 0);
	result("server_cores", s > 0 ? cpu / s : 0);
	result("load_cores", s > 0 ? (b->own_cpu_s - a->own_cpu_s) / s : 0);
}

void results_print(void)
{
	printf("{\"work\": \"%s\"", bench.opt.work);
	for (unsigned i = 0; i < n_results; i++) {
		if (results[i].text[0])
			printf(", \"%s\": \"%s\"", results[i].name, results[i].text);
		else
			printf(", \"%s\": %.6g", results[i].name, results[i].value);
	}
	printf("}\n");
}
