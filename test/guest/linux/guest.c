/*
 * The first process of a Linux guest whose every byte can be checked from outside. It serves a TCP stream of frames, checks
 * the stream that it gets back, and appends records to a file on its disk, each flushed before it is counted. The power
 * button ends it: it unmounts the disk and switches the machine off.
 *
 * Kernel parameters: guest.address=A.B.C.D (of a /24; without it there is no network), guest.tick_us (between two ticks, with
 * a frame each), guest.record_us (between two records), guest.dirty_mib (memory that it writes over and over), guest.touch_mib
 * (memory that it writes once, and frees), guest.ticks (physical address of a reserved page that gets the count of ticks).
 * blocks.ts has the other side of the formats.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/input.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { port = 7000, connections_max = 8, device_wait_ms = 30000 };

/* All numbers are 64 bits, little-endian. */
struct frame {
	uint64_t sequence, monotonic, realtime, boot, records, received, wrong, digest;
};
struct record {
	uint64_t sequence, monotonic, realtime, boot, spare[3], digest;
};
_Static_assert(sizeof(struct frame) == 64 && sizeof(struct record) == 64, "eight numbers each");

/* Between the processes of the guest. */
struct shared {
	volatile uint64_t boot, records;
	volatile int ending;
};
static struct shared *shared;

struct connection {
	int fd;
	uint64_t sequence, received, wrong;
	struct frame frame;
	size_t unsent;
};

static void say(const char *format, ...)
{
	va_list arguments;
	printf("guest: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
	fflush(stdout);
}

static void fail(const char *what)
{
	say("FAILED %s: %s", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static uint64_t now(clockid_t clock)
{
	struct timespec time;
	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/* FNV-1a, of 32 bits, of the seven numbers before the last. */
static uint64_t digest(const void *block)
{
	const unsigned char *bytes = block;
	uint32_t hash = 0x811c9dc5;
	for (size_t i = 0; i < 56; i++)
		hash = (hash ^ bytes[i]) * 0x01000193;
	return hash;
}

/* The value of guest.NAME on the kernel's command line, in a buffer of its own. */
static const char *parameter(const char *name, const char *otherwise)
{
	static char line[4096], value[128];
	int fd = open("/proc/cmdline", O_RDONLY);
	ssize_t length = read(fd, line, sizeof line - 1);
	close(fd);
	line[length > 0 ? length : 0] = 0;
	for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		size_t size = strlen(name);
		if (strncmp(word, "guest.", 6) == 0 && strncmp(word + 6, name, size) == 0 && word[6 + size] == '=') {
			snprintf(value, sizeof value, "%s", word + 7 + size);
			return value;
		}
	}
	return otherwise;
}

static void load_modules(void)
{
	FILE *order = fopen("/lib/modules/order", "r");
	char name[128], path[256];
	while (order && fscanf(order, "%127s", name) == 1) {
		snprintf(path, sizeof path, "/lib/modules/%s.ko", name);
		int fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) != 0)
			fail(path);
		close(fd);
	}
	if (order)
		fclose(order);
}

static void touch(size_t bytes)
{
	if (bytes == 0)
		return;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		fail("mmap");
	memset(memory, 1, bytes);
	munmap(memory, bytes);
}

/* Drivers probe their devices in threads of their own. */
static int open_device(const char *path, int flags)
{
	int fd = -1;
	for (int waited = 0; waited < device_wait_ms && fd < 0; waited++) {
		fd = open(path, flags);
		if (fd < 0)
			usleep(1000);
	}
	return fd;
}

static int open_power_button(void)
{
	char path[64], name[64];
	for (int waited = 0; waited < device_wait_ms; waited++) {
		for (int i = 0; i < 16; i++) {
			snprintf(path, sizeof path, "/dev/input/event%d", i);
			int fd = open(path, O_RDONLY);
			if (fd >= 0 && ioctl(fd, EVIOCGNAME(sizeof name), name) > 0 && strcmp(name, "Power Button") == 0)
				return fd;
			close(fd);
		}
		usleep(1000);
	}
	return -1;
}

static void bring_up_network(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq request = { .ifr_name = "eth0" };
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	int waited = 0;
	while (ioctl(fd, SIOCGIFINDEX, &request) != 0 && waited++ < device_wait_ms)
		usleep(1000);
	address->sin_family = AF_INET;
	inet_pton(AF_INET, parameter("address", ""), &address->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &request) != 0)
		fail("SIOCSIFADDR");
	address->sin_addr.s_addr = htonl(0xffffff00);
	if (ioctl(fd, SIOCSIFNETMASK, &request) != 0)
		fail("SIOCSIFNETMASK");
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		fail("SIOCSIFFLAGS");
	close(fd);
}

/* Opens the file of records behind its last; a record that is damaged or out of order is the end of the guest. */
static int open_records(void)
{
	int fd = open("/disk/records", O_RDWR | O_CREAT, 0644);
	struct record record = { 0 };
	ssize_t length;
	uint64_t count = 0;
	if (fd < 0)
		fail("/disk/records");
	while ((length = read(fd, &record, sizeof record)) == sizeof record) {
		if (record.sequence != count++ || record.digest != digest(&record)) {
			errno = EILSEQ;
			fail("a record on the disk");
		}
	}
	if (length != 0)
		fail("the last record on the disk");
	shared->records = count;
	shared->boot = count == 0 ? 1 : record.boot + 1;
	return fd;
}

static void write_records(int fd, useconds_t interval)
{
	while (!shared->ending) {
		struct record record = { .sequence = shared->records, .boot = shared->boot };
		record.monotonic = now(CLOCK_MONOTONIC);
		record.realtime = now(CLOCK_REALTIME);
		record.digest = digest(&record);
		if (write(fd, &record, sizeof record) != sizeof record || fdatasync(fd) != 0)
			fail("writing a record");
		shared->records++;
		usleep(interval);
	}
	exit(0);
}

/* Writes memory over and over, each word with the count of the round. */
static void dirty(size_t bytes)
{
	volatile uint64_t *words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (words == MAP_FAILED)
		fail("memory to write to");
	for (uint64_t round = 1; !shared->ending; round++) {
		for (size_t i = 0; i < bytes / 8; i += 8) {
			if (words[i] != round - 1)
				fail("memory has another value than was written");
			words[i] = round;
		}
	}
	exit(0);
}

static pid_t start(void (*run)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		run();
		exit(0);
	}
	return pid;
}

static int records_fd;
static void run_records(void)
{
	write_records(records_fd, atoi(parameter("record_us", "20000")));
}
static void run_dirty(void)
{
	dirty((size_t)atoi(parameter("dirty_mib", "0")) << 20);
}

/* A program beside this one, where the guest has one. */
static void run_other(void)
{
	execl("/etc/start", "start", (char *)NULL);
}

static void drop(struct connection *connection)
{
	close(connection->fd);
	connection->fd = -1;
}

/* What comes is the numbers from 0 on. */
static void take(struct connection *connection)
{
	unsigned char bytes[65536];
	ssize_t length = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (length == 0 || (length < 0 && errno != EAGAIN)) {
		drop(connection);
		return;
	}
	for (ssize_t i = 0; i < length; i++, connection->received++) {
		uint64_t word = connection->received / 8;
		if (bytes[i] != (unsigned char)(word >> (connection->received % 8 * 8)))
			connection->wrong++;
	}
}

/* A frame that does not fit now goes on at the next tick; until then there is no other. */
static void give(struct connection *connection)
{
	struct frame *frame = &connection->frame;
	if (connection->unsent == 0) {
		*frame = (struct frame){
			.sequence = connection->sequence++,
			.monotonic = now(CLOCK_MONOTONIC),
			.realtime = now(CLOCK_REALTIME),
			.boot = shared->boot,
			.records = shared->records,
			.received = connection->received,
			.wrong = connection->wrong,
		};
		frame->digest = digest(frame);
		connection->unsent = sizeof *frame;
	}
	const char *from = (const char *)frame + sizeof *frame - connection->unsent;
	ssize_t length = send(connection->fd, from, connection->unsent, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (length >= 0)
		connection->unsent -= length;
	else if (errno != EAGAIN)
		drop(connection);
}

static int listen_on(uint16_t number)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(number) };
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, connections_max) != 0)
		fail("listening");
	return fd;
}

static int ticker(unsigned microseconds)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct timespec interval = { microseconds / 1000000, microseconds % 1000000 * 1000 };
	struct itimerspec times = { interval, interval };
	if (timerfd_settime(fd, 0, &times, NULL) != 0)
		fail("the timer");
	return fd;
}

static int is_power_key(int fd)
{
	struct input_event event;
	return read(fd, &event, sizeof event) == sizeof event && event.type == EV_KEY && event.code == KEY_POWER &&
	       event.value == 1;
}

/* The count of ticks, for whoever looks at the guest's memory from outside. */
static volatile uint64_t *map_ticks(void)
{
	static uint64_t own;
	off_t address = strtoull(parameter("ticks", "0"), NULL, 0);
	if (address == 0)
		return &own;
	int fd = open("/dev/mem", O_RDWR);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, address);
	if (page == MAP_FAILED)
		fail("/dev/mem");
	close(fd);
	return page;
}

/* Returns when the power button was pressed. */
static void serve(int button)
{
	volatile uint64_t *ticks = map_ticks();
	struct connection connections[connections_max];
	for (int i = 0; i < connections_max; i++)
		connections[i].fd = -1;
	struct pollfd polled[3 + connections_max] = {
		{ .fd = listen_on(port), .events = POLLIN },
		{ .fd = ticker(atoi(parameter("tick_us", "10000"))), .events = POLLIN },
		{ .fd = button, .events = POLLIN },
	};
	say("ready boot %llu records %llu uptime %llu ms", (unsigned long long)shared->boot,
	    (unsigned long long)shared->records, (unsigned long long)now(CLOCK_BOOTTIME) / 1000000);
	for (;;) {
		for (int i = 0; i < connections_max; i++)
			polled[3 + i] = (struct pollfd){ .fd = connections[i].fd, .events = POLLIN };
		if (poll(polled, 3 + connections_max, -1) < 0)
			continue;
		if ((polled[2].revents & POLLIN) && is_power_key(button))
			return;
		for (int i = 0; i < connections_max; i++)
			if (connections[i].fd >= 0 && polled[3 + i].revents)
				take(&connections[i]);
		if (polled[1].revents) {
			uint64_t expired;
			if (read(polled[1].fd, &expired, sizeof expired) > 0)
				++*ticks;
			for (int i = 0; i < connections_max; i++)
				if (connections[i].fd >= 0)
					give(&connections[i]);
		}
		if (polled[0].revents) {
			int fd = accept(polled[0].fd, NULL, NULL), i = 0;
			while (i < connections_max && connections[i].fd >= 0)
				i++;
			if (i == connections_max)
				close(fd);
			else
				connections[i] = (struct connection){ .fd = fd };
		}
	}
}

int main(void)
{
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/disk", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) != 0 && errno != EBUSY)
		fail("/dev");
	load_modules();
	/* Before there is anything that it would keep open. */
	start(run_other);
	touch((size_t)atoi(parameter("touch_mib", "0")) << 20);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	close(open_device("/dev/vda", O_RDONLY));
	if (mount("/dev/vda", "/disk", "ext4", 0, NULL) != 0)
		fail("/disk");
	if (*parameter("address", ""))
		bring_up_network();
	records_fd = open_records();
	int button = open_power_button();
	if (button < 0)
		fail("the power button");
	pid_t writer = start(run_records);
	pid_t dirtier = atoi(parameter("dirty_mib", "0")) > 0 ? start(run_dirty) : 0;
	serve(button);
	shared->ending = 1;
	waitpid(writer, NULL, 0);
	if (dirtier)
		waitpid(dirtier, NULL, 0);
	close(records_fd);
	if (umount("/disk") != 0)
		fail("unmounting /disk");
	say("off records %llu", (unsigned long long)shared->records);
	reboot(RB_POWER_OFF);
	return 1;
}
