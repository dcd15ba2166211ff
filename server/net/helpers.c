/*
 * Helper threads for work that would hold up a loop (PBKDF2, backup, CSV). One bounded queue under a mutex: jobs are few and long,
 * so the lock is never hot. A job belongs to the helper while run() works on it and goes home by mail for done().
 */
#include "server/net/threads.h"
#include "base/err.h"
#include "base/mem.h"
#include <assert.h>
#include <pthread.h>

enum { HELPERS_MAX = 64, JOBS_MAX = 2048 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;
static unsigned n_jobs, n_running, n_helpers;
static bool stopping;
static pthread_t helpers[HELPERS_MAX];

static void deliver_done(struct mail *m)
{
	struct job *j = list_entry(m, struct job, mail);
	j->done(j);
}

/* The next job, or NULL when there is none left at the end. */
static struct job *take_job(void)
{
	pthread_mutex_lock(&lock);
	while (!first && !stopping)
		pthread_cond_wait(&work, &lock);
	struct job *j = first;
	if (j) {
		first = j->next;
		if (!first)
			last = &first;
		n_jobs--;
		n_running++;
	}
	pthread_mutex_unlock(&lock);
	return j;
}

static void *run_helper(void *arg)
{
	(void)arg;
	struct job *j;
	pthread_setname_np(pthread_self(), "helper");
	while ((j = take_job())) {
		unsigned worker = j->worker;
		j->run(j);
		j->mail = (struct mail){ .deliver = deliver_done };
		threads_post(worker, &j->mail);
		pthread_mutex_lock(&lock);
		n_running--;
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int helpers_start(unsigned n)
{
	assert(n >= 1 && n <= HELPERS_MAX && n_helpers == 0);
	stopping = false;
	for (n_helpers = 0; n_helpers < n; n_helpers++) {
		int e = pthread_create(&helpers[n_helpers], NULL, run_helper, NULL);
		if (e != 0) {
			helpers_stop();
			return err_from_errno(e);
		}
	}
	return 0;
}

void helpers_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_broadcast(&work);
	pthread_mutex_unlock(&lock);
	for (unsigned i = 0; i < n_helpers; i++)
		pthread_join(helpers[i], NULL);
	n_helpers = 0;
}

int helpers_submit(struct job *j)
{
	int worker = threads_self();
	assert(worker >= 0);
	j->worker = (unsigned)worker;
	j->next = NULL;
	pthread_mutex_lock(&lock);
	int rc = n_jobs < JOBS_MAX && !stopping ? 0 : ERR_LIMIT;
	if (rc == 0) {
		*last = j;
		last = &j->next;
		n_jobs++;
		pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

bool helpers_idle(void)
{
	pthread_mutex_lock(&lock);
	bool idle = n_jobs == 0 && n_running == 0;
	pthread_mutex_unlock(&lock);
	return idle;
}
