// SPDX-License-Identifier: GPL-2.0
/*
 * busy calls FOLDER FROZEN: start processes that each sit in a system call of
 * their own, named after it, and leave them behind. FOLDER is an empty one,
 * FROZEN lies on a file system that takes no writes.
 *
 * busy memory: three processes that each fill more memory than their control
 * group may have, again and again, inside mmap().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *folder;
static const char *frozen;
static int silent[2]; /* a pipe that nobody writes to */
static int full[2];   /* one that takes no more */
static int pair[2];   /* connected sockets, nothing to read */
static int stuffed[2]; /* connected sockets that take no more */
static int locked;    /* a file that the parent's child holds locked */
static int queue, semaphores, shared;
static char page[4096];

static const char *path_in(const char *where, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", where, name);
	return path;
}

static void fill(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	while (write(fd, page, sizeof(page)) > 0)
		;
	while (write(fd, page, 1) > 0)
		;
	fcntl(fd, F_SETFL, flags);
}

static int tcp_socket(struct sockaddr_in *to, const char *bytes, int port)
{
	memset(to, 0, sizeof(*to));
	to->sin_family = AF_INET;
	to->sin_port = htons(port);
	memcpy(&to->sin_addr, bytes, 4);
	return socket(AF_INET, SOCK_STREAM, 0);
}

/* Files and pipes. */
static void call_read(void) { read(silent[0], page, 123); }
static void call_write(void) { write(full[1], page, 4096); }
static void call_open_fifo(void) { open(path_in(folder, "fifo"), O_RDONLY); }
static void call_flock(void) { flock(open(path_in(folder, "locked"), O_RDWR), LOCK_EX); }

static void call_readv(void)
{
	struct iovec parts[3] = { { page, 10 }, { page + 10, 20 }, { page + 30, 30 } };

	readv(silent[0], parts, 3);
}

static void call_writev(void)
{
	struct iovec parts[2] = { { page, 1000 }, { page, 3000 } };

	writev(full[1], parts, 2);
}

static void call_fcntl_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 7 };

	fcntl(open(path_in(folder, "locked"), O_RDWR), F_SETLKW, &lock);
}

static void call_splice(void)
{
	int other[2];

	pipe(other);
	splice(silent[0], NULL, other[1], NULL, 512, SPLICE_F_MOVE);
}

static void call_tee(void)
{
	int other[2];

	pipe(other);
	tee(silent[0], other[1], 513, 0);
}

static void call_sendfile(void)
{
	loff_t at = 3;
	int file = open(path_in(folder, "long"), O_RDONLY);

	sendfile(full[1], file, &at, 8192);
}

static void call_read_tty(void)
{
	int master, slave;

	if (!openpty(&master, &slave, NULL, NULL, NULL))
		read(slave, page, 80);
}

/* Sockets. */
static void call_recvfrom(void) { recv(pair[0], page, 100, MSG_WAITALL); }
static void call_sendto(void) { send(stuffed[0], page, 2000, MSG_NOSIGNAL); }

static void call_recvmsg(void)
{
	struct iovec part = { page, 200 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	recvmsg(pair[0], &message, 0);
}

static void call_recvmmsg(void)
{
	struct iovec part = { page, 200 };
	struct mmsghdr messages[2] = {
		{ .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } },
		{ .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } },
	};

	recvmmsg(pair[0], messages, 2, 0, NULL);
}

static void call_sendmsg(void)
{
	struct iovec part = { page, 300 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	sendmsg(stuffed[0], &message, MSG_NOSIGNAL);
}

static void call_recv_udp(void)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	tcp_socket(&from, "\x7f\0\0\1", 6001);
	bind(fd, (struct sockaddr *)&from, sizeof(from));
	recvfrom(fd, page, 1500, 0, (struct sockaddr *)&from, &size);
}

static void call_accept(void)
{
	struct sockaddr_in at;
	socklen_t size = sizeof(at);
	int fd = tcp_socket(&at, "\x7f\0\0\1", 6002);

	bind(fd, (struct sockaddr *)&at, sizeof(at));
	listen(fd, 4);
	accept(fd, (struct sockaddr *)&at, &size);
}

static void call_accept4_unix(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", folder);
	bind(fd, (struct sockaddr *)&at, sizeof(at));
	listen(fd, 4);
	accept4(fd, NULL, NULL, SOCK_CLOEXEC);
}

static void call_connect(void)
{
	struct sockaddr_in to;
	/* Beyond the dummy interface d0: the request gets lost. */
	int fd = tcp_socket(&to, "\x0a\x09\x08\x63", 6003);

	connect(fd, (struct sockaddr *)&to, sizeof(to));
}

static void call_recv_tcp(void)
{
	struct sockaddr_in at;
	int fd = tcp_socket(&at, "\x7f\0\0\1", 6004);
	int client = socket(AF_INET, SOCK_STREAM, 0);

	bind(fd, (struct sockaddr *)&at, sizeof(at));
	listen(fd, 4);
	connect(client, (struct sockaddr *)&at, sizeof(at));
	recv(client, page, 4000, 0);
}

/* Waiting for one of several things. */
static void call_poll(void)
{
	struct pollfd fds[2] = { { silent[0], POLLIN, 0 }, { full[1], POLLOUT, 0 } };

	poll(fds, 2, 100000000);
}

static void call_ppoll(void)
{
	struct pollfd fd = { pair[0], POLLIN | POLLPRI, 0 };
	struct timespec time = { 100000, 0 };

	ppoll(&fd, 1, &time, NULL);
}

static void call_select(void)
{
	fd_set set;

	FD_ZERO(&set);
	FD_SET(silent[0], &set);
	select(silent[0] + 1, &set, NULL, NULL, NULL);
}

static void call_epoll_wait(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	epoll_ctl(fd, EPOLL_CTL_ADD, silent[0], &event);
	epoll_wait(fd, &event, 1, -1);
}

static void call_eventfd(void) { read(eventfd(0, 0), page, 8); }

static void call_timerfd(void)
{
	struct itimerspec time = { .it_value = { 100000, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);

	timerfd_settime(fd, 0, &time, NULL);
	read(fd, page, 8);
}

static void call_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	read(signalfd(-1, &set, 0), page, 128);
}

static void call_inotify(void)
{
	int fd = inotify_init1(0);

	inotify_add_watch(fd, "/mnt/small", IN_ALL_EVENTS);
	read(fd, page, sizeof(page));
}

/* Time, signals, children. */
static void call_nanosleep(void)
{
	struct timespec time = { 99999, 7 };

	syscall(SYS_nanosleep, &time, NULL);
}

static void call_clock_nanosleep(void)
{
	struct timespec time = { 88888, 5 };

	clock_nanosleep(CLOCK_REALTIME, 0, &time, NULL);
}

static void call_pause(void) { pause(); }

static void call_sigsuspend(void)
{
	sigset_t set;

	sigfillset(&set);
	sigsuspend(&set);
}

static void call_sigtimedwait(void)
{
	struct timespec time = { 77777, 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigtimedwait(&set, NULL, &time);
}

static void sleeping_child(void)
{
	if (fork() == 0) {
		prctl(PR_SET_NAME, "c_child");
		for (;;)
			pause();
	}
}

static void call_wait4(void)
{
	sleeping_child();
	waitpid(-1, NULL, 0);
}

static void call_waitid(void)
{
	siginfo_t info;

	sleeping_child();
	waitid(P_ALL, 0, &info, WEXITED | WSTOPPED);
}

static void call_vfork(void)
{
	if (vfork() == 0) {
		for (;;)
			pause();
	}
}

static void call_stopped(void) { raise(SIGSTOP); }

static void call_traced(void)
{
	ptrace(PTRACE_TRACEME, 0, NULL, NULL);
	raise(SIGTRAP);
}

static void call_zombie(void)
{
	if (fork() == 0)
		_exit(3);
	pause();
}

/* Futexes. */
static void *hold_futex(void *word)
{
	syscall(SYS_futex, word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
	for (;;)
		pause();
	return NULL;
}

static void call_futex(void)
{
	static int word = 42;

	syscall(SYS_futex, &word, FUTEX_WAIT, 42, NULL, NULL, 0);
}

static void call_futex_timed(void)
{
	static int word = 43;
	struct timespec time = { 66666, 0 };

	syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 43, &time, NULL, 0);
}

static void call_futex_pi(void)
{
	static int word;
	pthread_t thread;

	pthread_create(&thread, NULL, hold_futex, &word);
	usleep(300000);
	syscall(SYS_futex, &word, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
}

/* System V and POSIX queues. */
static void call_msgrcv(void) { msgrcv(queue, page, 64, 17, 0); }

static void call_msgsnd(void)
{
	struct { long type; char text[512]; } message = { .type = 3 };

	for (;;)
		msgsnd(queue, &message, sizeof(message.text), 0);
}

static void call_semop(void)
{
	struct sembuf operations[2] = { { 0, -1, 0 }, { 1, 0, SEM_UNDO } };

	semop(semaphores, operations, 2);
}

static void call_semtimedop(void)
{
	struct sembuf operation = { 2, -3, 0 };
	struct timespec time = { 55555, 0 };

	semtimedop(semaphores, &operation, 1, &time);
}

static void call_mq_receive(void)
{
	struct mq_attr attributes = { .mq_maxmsg = 2, .mq_msgsize = 128 };
	mqd_t queue = mq_open("/cf_busy", O_CREAT | O_RDONLY, 0600, &attributes);

	mq_receive(queue, page, 128, NULL);
}

static void call_shared_memory(void)
{
	char *memory = shmat(shared, NULL, 0);

	memory[0] = 1;
	pause();
}

/* On the file system that takes no writes: in D state. */
static void call_frozen_open(void) { open(path_in(frozen, "new"), O_CREAT | O_WRONLY, 0644); }
static void call_frozen_mkdir(void) { mkdir(path_in(frozen, "folder"), 0755); }

static void call_frozen_rename(void)
{
	char *from = strdup(path_in(frozen, "file"));

	rename(from, path_in(frozen, "moved"));
}

static void call_frozen_chmod(void) { chmod(path_in(frozen, "file"), 0600); }
static void call_frozen_unlink(void) { unlink(path_in(frozen, "file")); }
static void call_frozen_write(void) { pwrite(open(path_in(frozen, "file"), O_RDWR), page, 99, 5); }

static void call_frozen_ftruncate(void)
{
	ftruncate(open(path_in(frozen, "file"), O_RDWR), 1);
}

static void call_frozen_mmap(void)
{
	char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
			    open(path_in(frozen, "file"), O_RDWR), 0);

	/* No system call: the page fault has to wait. */
	memory[1] = 1;
}

#define CALL(name) { "c_" #name, call_##name }
static const struct {
	const char *name;
	void (*run)(void);
} calls[] = {
	CALL(read), CALL(write), CALL(open_fifo), CALL(flock), CALL(readv), CALL(writev),
	CALL(fcntl_lock), CALL(splice), CALL(tee), CALL(sendfile), CALL(read_tty),
	CALL(recvfrom), CALL(sendto), CALL(recvmsg), CALL(recvmmsg), CALL(sendmsg),
	CALL(recv_udp), CALL(accept), CALL(accept4_unix), CALL(connect), CALL(recv_tcp),
	CALL(poll), CALL(ppoll), CALL(select), CALL(epoll_wait), CALL(eventfd), CALL(timerfd),
	CALL(signalfd), CALL(inotify), CALL(nanosleep), CALL(clock_nanosleep), CALL(pause),
	CALL(sigsuspend), CALL(sigtimedwait), CALL(wait4), CALL(waitid), CALL(vfork),
	CALL(stopped), CALL(traced), CALL(zombie), CALL(futex), CALL(futex_timed),
	CALL(futex_pi), CALL(msgrcv), CALL(msgsnd), CALL(semop), CALL(semtimedop),
	CALL(mq_receive), CALL(shared_memory),
	CALL(frozen_open), CALL(frozen_mkdir), CALL(frozen_rename), CALL(frozen_chmod),
	CALL(frozen_unlink), CALL(frozen_write), CALL(frozen_ftruncate), CALL(frozen_mmap),
};

static void hold_lock(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	prctl(PR_SET_NAME, "c_lock_holder");
	flock(locked, LOCK_EX);
	fcntl(locked, F_SETLK, &lock);
	for (;;)
		pause();
}

static int start_calls(void)
{
	int long_file;

	if (pipe(silent) || pipe(full) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, stuffed))
		return 1;
	fill(full[1]);
	fill(stuffed[0]);
	mkfifo(path_in(folder, "fifo"), 0600);
	locked = open(path_in(folder, "locked"), O_RDWR | O_CREAT, 0600);
	long_file = open(path_in(folder, "long"), O_RDWR | O_CREAT, 0600);
	for (int i = 0; i < 16; i++)
		write(long_file, page, sizeof(page));
	queue = msgget(IPC_PRIVATE, 0600);
	semaphores = semget(IPC_PRIVATE, 3, 0600);
	shared = shmget(IPC_PRIVATE, 8192, 0600);
	if (locked < 0 || long_file < 0 || queue < 0 || semaphores < 0 || shared < 0)
		return 1;
	if (fork() == 0)
		hold_lock();
	usleep(200000);
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			signal(SIGHUP, SIG_IGN);
			prctl(PR_SET_NAME, calls[i].name);
			calls[i].run();
			/* Not reached by any that works. */
			printf("@@@ busy: %s returned: %s\n", calls[i].name, strerror(errno));
			_exit(1);
		}
	}
	/* The traced one is traced as long as its parent lives. */
	prctl(PR_SET_NAME, "c_parent");
	for (;;)
		pause();
}

static int start_memory(void)
{
	size_t size = 12 << 20;

	for (int i = 0; i < 3; i++) {
		if (fork() == 0) {
			prctl(PR_SET_NAME, "c_mmap");
			for (;;) {
				char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

				if (memory != MAP_FAILED)
					munmap(memory, size);
			}
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "calls")) {
		folder = argv[2];
		frozen = argv[3];
		return start_calls();
	}
	if (argc == 2 && !strcmp(argv[1], "memory"))
		return start_memory();
	return 2;
}
