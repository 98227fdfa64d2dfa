package main

import (
	"testing"

	"skep/internal/ktest"
)

// storm has processes end while their threads are making threads and processes: by a signal, by another program, and by themselves.
const storm = `#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void *quick(void *a) { return a; }
static void *threads(void *a) { for (;;) { pthread_t t; if (pthread_create(&t, 0, quick, 0) == 0) pthread_detach(t); } }
static void *forks(void *a) { for (;;) { pid_t p = fork(); if (!p) _exit(0); waitpid(p, 0, 0); } }
static void *vforks(void *a) { for (;;) { pid_t p = vfork(); if (!p) _exit(0); waitpid(p, 0, 0); } }
int main(void) {
	for (int i = 0; i < 45; i++) {
		pid_t p = fork();
		if (!p) {
			pthread_t t;
			pthread_create(&t, 0, threads, 0);
			pthread_create(&t, 0, forks, 0);
			pthread_create(&t, 0, vforks, 0);
			usleep(rand() % 2000 + 20 * i);
			if (i % 3 == 0) kill(getpid(), SIGKILL);
			if (i % 3 == 1) execl("/bin/true", "true", (char *)0);
			_exit(3);
		}
		waitpid(p, 0, 0);
	}
	return 0;
}`

// TestUserKilledMaking counts starts and ends of tasks whose parents end before they can tell of them.
func TestUserKilledMaking(t *testing.T) {
	ktest.Oldest(t)
	program := buildC(t, storm)
	out, errs, exit := runUser(t, program, `tracepoint:sched:sched_process_fork { @starts++; } tracepoint:sched:sched_process_exit { @ends++; }
		END { printf("%d\n", @ends - @starts); clear(@starts); clear(@ends); }`)
	if exit != 0 || errs != "" || out != "1" { // nobody that is seen has started the command
		t.Errorf("exit code %d, %s ends more than starts, %s; want 1", exit, out, errs)
	}
}
