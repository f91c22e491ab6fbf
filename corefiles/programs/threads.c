// SPDX-License-Identifier: GPL-2.0
/*
 * threads P T: start P processes of T threads each, wait until every thread
 * has come to rest, leave them behind.
 *
 * Threads sleep in six different places, so that their stacks differ, and each
 * has a name of its own.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int silent[2];
static int pair[2];
static sem_t never;
static pthread_barrier_t all;

static void *rest(void *arg)
{
	long number = (long)arg;
	struct pollfd fd = { .fd = silent[0], .events = POLLIN };
	char name[24], byte;

	snprintf(name, sizeof(name), "w%ld", number);
	prctl(PR_SET_NAME, name);
	pthread_barrier_wait(&all);
	for (;;) {
		switch (number % 6) {
		case 0: pause(); break;
		case 1: sleep(100000); break;
		case 2: if (read(silent[0], &byte, 1) < 0) return NULL; break;
		case 3: poll(&fd, 1, -1); break;
		case 4: sem_wait(&never); break;
		case 5: if (recv(pair[0], &byte, 1, 0) < 0) return NULL; break;
		}
	}
}

static void process(long number, long threads, int ready)
{
	pthread_attr_t attr;
	char name[24];

	snprintf(name, sizeof(name), "p%ld", number);
	prctl(PR_SET_NAME, name);
	if (pipe(silent) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		_exit(1);
	sem_init(&never, 0, 0);
	pthread_barrier_init(&all, NULL, threads);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	for (long i = 1; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attr, rest, (void *)(number * threads + i)))
			_exit(1);
	}
	pthread_barrier_wait(&all);
	/* The last one to come to rest needs a moment. */
	usleep(100000);
	if (write(ready, "+", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	long processes = argc > 1 ? atol(argv[1]) : 1;
	long threads = argc > 2 ? atol(argv[2]) : 1;
	int ready[2];
	char byte;

	if (pipe(ready))
		return 1;
	for (long i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			signal(SIGHUP, SIG_IGN);
			process(i, threads, ready[1]);
		}
	}
	close(ready[1]);
	for (long i = 0; i < processes; i++)
		if (read(ready[0], &byte, 1) != 1)
			return 1;
	return 0;
}
