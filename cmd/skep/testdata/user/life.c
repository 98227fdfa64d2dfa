// Tells what a process sees of its signals, stops, children and their ends: the same with a tracer and without.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void status(const char *what, int s) {
	if (WIFEXITED(s)) printf("%s: exit %d\n", what, WEXITSTATUS(s));
	else if (WIFSIGNALED(s)) printf("%s: signal %d\n", what, WTERMSIG(s));
	else if (WIFSTOPPED(s)) printf("%s: stopped by %d\n", what, WSTOPSIG(s));
	else if (WIFCONTINUED(s)) printf("%s: continued\n", what);
	fflush(stdout);
}
static void reap(const char *what, pid_t p, int options) {
	int s = 0;
	pid_t got;
	do got = waitpid(p, &s, options); while (got < 0 && errno == EINTR);
	if (got != p) printf("%s: waitpid %d %s\n", what, got == p, strerror(errno));
	else status(what, s);
}
static volatile int count, order[64], values[64];
static void note(int sig, siginfo_t *i, void *c) { order[count] = sig; values[count++] = i->si_code == SI_QUEUE ? i->si_value.sival_int : -1; }
static void handle(int sig, int flags) {
	struct sigaction a = {0};
	a.sa_sigaction = note;
	a.sa_flags = SA_SIGINFO | flags;
	sigaction(sig, &a, 0);
}
static void tell(const char *what) {
	printf("%s:", what);
	for (int i = 0; i < count; i++) printf(" %d=%d", order[i], values[i]);
	printf("\n");
	fflush(stdout);
	count = 0;
}
static void *idle(void *a) { for (;;) pause(); }

static void stops(int sig, int threads) {
	char what[40];
	int p[2];
	pipe(p);
	pid_t c = fork();
	if (!c) {
		pthread_t t;
		sigset_t cont;
		char b;
		handle(SIGCONT, SA_RESTART);
		sigemptyset(&cont);
		sigaddset(&cont, SIGCONT);
		sigprocmask(SIG_BLOCK, &cont, 0);
		for (int i = 0; i < threads; i++) pthread_create(&t, 0, idle, 0);
		sigprocmask(SIG_UNBLOCK, &cont, 0);
		raise(sig);
		read(p[0], &b, 1);
		printf("goes on, SIGCONT %d\n", count > 0);
		fflush(stdout);
		kill(getpid(), SIGSTOP);
		for (;;) getppid();
	}
	sprintf(what, "stop %d with %d threads", sig, threads);
	reap(what, c, WUNTRACED);
	int s;
	if (waitpid(c, &s, WUNTRACED | WNOHANG) != 0) printf("told twice\n");
	kill(c, SIGCONT);
	reap(what, c, WCONTINUED);
	write(p[1], "x", 1);
	reap(what, c, WUNTRACED);
	kill(c, SIGCONT);
	kill(c, SIGSTOP);
	reap(what, c, WUNTRACED);
	kill(c, SIGKILL);
	reap(what, c, 0);
}
static void queued(void) {
	sigset_t all, old;
	sigemptyset(&all);
	int sigs[] = {SIGRTMIN + 2, SIGRTMIN, SIGUSR1, SIGUSR2};
	for (int i = 0; i < 4; i++) handle(sigs[i], 0), sigaddset(&all, sigs[i]);
	sigprocmask(SIG_BLOCK, &all, &old);
	for (int i = 0; i < 3; i++) for (int j = 0; j < 4; j++) {
		union sigval v = {10 * i + j};
		sigqueue(getpid(), sigs[j], v);
	}
	sigset_t pending;
	sigpending(&pending);
	printf("pending %d\n", sigismember(&pending, SIGUSR1));
	sigprocmask(SIG_SETMASK, &old, 0);
	tell("queued");
}
static void interrupted(int flags) {
	int p[2];
	char b;
	pipe(p);
	handle(SIGALRM, flags);
	struct itimerval v = {{0, 0}, {0, 20000}};
	setitimer(ITIMER_REAL, &v, 0);
	pid_t c = fork();
	if (!c) { usleep(80000); write(p[1], "x", 1); _exit(0); }
	int n = read(p[0], &b, 1);
	printf("read %d %s\n", n, n < 0 ? strerror(errno) : "");
	reap("writer", c, 0);
	tell("alarm");
	struct timespec t = {0, 30000000}, left;
	v.it_value.tv_usec = 10000;
	setitimer(ITIMER_REAL, &v, 0);
	n = nanosleep(&t, &left);
	printf("nanosleep %d %s\n", n, n < 0 ? strerror(errno) : "");
	tell("alarm");
}
static sigjmp_buf back;
static void leap(int sig) { siglongjmp(back, sig); }
static void crashes(void) {
	signal(SIGSEGV, leap);
	int s = sigsetjmp(back, 1);
	if (!s) *(volatile int *)8 = 1;
	printf("caught %d\n", s);
	signal(SIGTRAP, leap);
	s = sigsetjmp(back, 1);
#ifdef __x86_64__
	if (!s) __asm__ volatile("int3");
#else
	if (!s) raise(SIGTRAP);
#endif
	printf("caught %d\n", s);
	fflush(stdout);
	int sigs[] = {SIGSEGV, SIGTRAP, SIGABRT, SIGKILL, SIGTERM, SIGPIPE, SIGCHLD, SIGILL};
	for (int i = 0; i < 8; i++) {
		pid_t c = fork();
		if (!c) {
			signal(sigs[i], SIG_DFL);
			if (sigs[i] == SIGSEGV) *(volatile int *)8 = 1;
			if (sigs[i] == SIGILL) __builtin_trap();
			raise(sigs[i]);
			_exit(42);
		}
		reap("crash", c, 0);
	}
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}
static int light(void *a) { return *(int *)a; }
static void clones(void) {
	static char stack[4][65536];
	int flags[] = {SIGCHLD, CLONE_VM | SIGCHLD, CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGUSR1, CLONE_VFORK | CLONE_VM | SIGCHLD};
	for (int i = 0; i < 4; i++) {
		int code = 30 + i;
		signal(SIGUSR1, SIG_IGN);
		pid_t c = clone(light, stack[i] + 65536, flags[i], &code);
		reap("clone", c, __WALL);
	}
	pid_t c = vfork();
	if (!c) execl("/bin/sh", "sh", "-c", "exit 9", (char *)0);
	reap("vfork and exec", c, 0);
	c = vfork();
	if (!c) _exit(8);
	reap("vfork", c, 0);
	c = vfork();
	if (!c) raise(SIGKILL), _exit(1);
	reap("vfork killed", c, 0);
	// A child of a child that becomes a brother.
	int code = 77;
	c = fork();
	if (!c) { clone(light, stack[0] + 65536, CLONE_PARENT | SIGCHLD, &code); _exit(1); }
	int s, sum = 0;
	for (int i = 0; i < 2; i++) { wait(&s); sum += WEXITSTATUS(s); }
	printf("child and grandchild: %d\n", sum);
	fflush(stdout);
}
static void *executes(void *a) { execl("/bin/sh", "sh", "-c", "echo from a thread $((1)); exit 4", (char *)0); return 0; }
static void threadExec(void) {
	pid_t c = fork();
	if (!c) {
		pthread_t t;
		for (int i = 0; i < 8; i++) pthread_create(&t, 0, idle, 0);
		pthread_create(&t, 0, executes, 0);
		pthread_exit(0);
	}
	reap("exec from a thread", c, 0);
}
static void daemonizes(void) {
	int p[2];
	char b[32] = "";
	pipe(p);
	pid_t c = fork();
	if (!c) {
		setsid();
		if (fork()) _exit(0);
		close(p[0]);
		while (getppid() == getsid(0)) usleep(1000);
		dprintf(p[1], "daemon %d", getpid() != getsid(0));
		_exit(0);
	}
	close(p[1]);
	reap("daemon", c, 0);
	int n, at = 0;
	while ((n = read(p[0], b + at, sizeof b - 1 - at)) > 0) at += n;
	printf("%s\n", b);
	fflush(stdout);
}
static void noWait(void) {
	pid_t c = fork();
	if (!c) _exit(5);
	siginfo_t i = {0};
	waitid(P_PID, c, &i, WEXITED | WNOWAIT);
	printf("waitid %d %d %d\n", i.si_pid == c, i.si_status, i.si_code == CLD_EXITED);
	fflush(stdout);
	reap("and waitpid", c, 0);
}
static void suspended(void) {
	sigset_t set, old;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, &old);
	signal(SIGUSR1, SIG_DFL);
	pid_t parent = getpid(), c = fork();
	if (!c) { kill(parent, SIGUSR1); _exit(0); }
	siginfo_t i;
	struct timespec t = {5, 0};
	int got;
	do got = sigtimedwait(&set, &i, &t); while (got < 0 && errno == EINTR);
	printf("sigtimedwait %d %d\n", got, i.si_pid == c);
	handle(SIGUSR1, 0);
	reap("sender", c, 0);
	c = fork();
	if (!c) { kill(parent, SIGUSR1); _exit(0); }
	sigsuspend(&old);
	tell("sigsuspend");
	reap("sender", c, 0);
	sigprocmask(SIG_SETMASK, &old, 0);
}
int main(void) {
	setvbuf(stdout, 0, _IOLBF, 0);
	pid_t c = fork(); // a group of its own in this session, since stops by terminals are nothing for orphaned groups
	if (c) { int s; waitpid(c, &s, 0); if (WIFSIGNALED(s)) raise(WTERMSIG(s)); return WEXITSTATUS(s); }
	setpgid(0, 0);
	alarm(0);
	queued();
	interrupted(0);
	interrupted(SA_RESTART);
	stops(SIGSTOP, 0);
	stops(SIGTSTP, 3);
	stops(SIGTTIN, 1);
	crashes();
	clones();
	threadExec();
	daemonizes();
	noWait();
	suspended();
	handle(SIGCHLD, 0);
	raise(SIGWINCH);
	raise(SIGURG);
	tell("ignored");
	fflush(stdout);
	raise(SIGQUIT);
	return 0;
}
