/*
 * A whole virtual machine monitor for one tiny guest that counts: what a VMM does with memory it was handed,
 * and nothing else. The memory is an inherited file descriptor, or the broker's; every byte of the guest lives in it.
 *
 *   tiny-vmm --fd N --size BYTES --boot [--tick-every K]    write the guest and a zero counter, then run
 *   tiny-vmm --fd N --size BYTES --resume                   write nothing: run the guest that is there
 *   tiny-vmm --name NAME --size BYTES --boot [...]          the same in new memory of the broker, by libmembroker
 *   tiny-vmm --name NAME --resume                           the same in the broker's memory of that name
 *   tiny-vmm --probe                                        only find out whether KVM works
 * Each takes --device PATH, instead of /dev/kvm.
 *
 * Guest-physical memory (offsets in the descriptor are the same, below 3 GiB; TinyVmm in tiny-vmm.ts knows them too):
 *   0x1000  the counter, 64 bits, little-endian
 *   0x2000  the guest's code, 16-bit real mode; it holds K, so --resume does not need it
 *   0x2002  K, 32 bits, little-endian
 *
 * When the broker wants its memory back, the guest stops, and the program says "revoked" and ends.
 *
 * Standard output, a line each, flushed: "resumed N" (with --resume, before the guest runs), then "counter N"
 * each K increments. The guest's registers are not saved anywhere: its state is the memory.
 *
 * Exit status: 0 ended by SIGTERM or SIGINT; 1 failed, or no guest in the memory; 2 bad arguments;
 * 3 the memory went away; 4 no KVM. All but 0 come with one line on standard error.
 */
#include <membroker.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { exit_failed = 1, exit_usage = 2, exit_memory_gone = 3, exit_no_kvm = 4 };

enum {
    counter_address = 0x1000,
    code_address = 0x2000,
    tick_every_address = code_address + 2,
    size_min = 0x3000,
    page_size = 4096,
    tick_port = 0x10,
    tick_every_default = 1000,
    /* Between two exits, so that a counting guest does not cost a core. */
    pause_ns = 5 * 1000 * 1000,
};

/* As on a PC, memory beyond 3 GiB continues at 4 GiB: below that lie KVM's own pages and the devices. */
static const uint64_t low_memory_max = 3ull << 30, high_memory_address = 4ull << 30;
/* Three pages for the TSS and one for the identity map, which Intel's real mode needs, away from the memory. */
static const uint64_t identity_map_address = 0xfffbc000, tss_address = 0xfffbd000;

/* SIGKILL may end the guest between add and adc; that tears the counter only where its low half overflows. */
static const uint8_t guest_code[] = {
    0x66, 0xb9, 0, 0, 0, 0,             /* 2000 start: mov ecx, K             */
    0x66, 0x83, 0x06, 0x00, 0x10, 0x01, /* 2006 next:  add dword [0x1000], 1  */
    0x66, 0x83, 0x16, 0x04, 0x10, 0x00, /* 200c        adc dword [0x1004], 0  */
    0x66, 0x49,                         /* 2012        dec ecx                */
    0x75, 0xf0,                         /* 2014        jnz next               */
    0xe6, tick_port,                    /* 2016        out tick_port, al      */
    0xeb, 0xe6,                         /* 2018        jmp start              */
};

struct options {
    int fd;
    uint64_t size;
    uint32_t tick_every;
    const char *device, *name;
    bool boot, resume, probe;
};

struct machine {
    int kvm, vm, vcpu;
    struct kvm_run *run;
};

/* Of an inherited descriptor, or of the broker. */
struct memory {
    uint8_t *bytes;
    uint64_t size;
    mb_broker *broker; /* NULL: of a descriptor */
    mb_mapping *mapping;
};

static volatile sig_atomic_t ending;
/* For the signal handler: immediate_exit makes a KVM_RUN return that has not begun yet. */
static struct kvm_run *volatile running;

static void on_end(int signal)
{
    (void)signal;
    ending = 1;
    if (running)
        running->immediate_exit = 1;
}

static void on_bus_error(int signal)
{
    static const char line[] = "tiny-vmm: the memory is gone: SIGBUS\n";
    (void)signal;
    if (write(STDERR_FILENO, line, sizeof line - 1) < 0)
        _exit(exit_memory_gone);
    _exit(exit_memory_gone);
}

__attribute__((noreturn)) static void fail(int status, const char *what)
{
    fprintf(stderr, "tiny-vmm: %s: %s\n", what, strerror(errno));
    exit(status);
}

__attribute__((noreturn)) static void fail_plainly(int status, const char *what)
{
    fprintf(stderr, "tiny-vmm: %s\n", what);
    exit(status);
}

static void install_handlers(void)
{
    struct sigaction end = {.sa_handler = on_end}, bus_error = {.sa_handler = on_bus_error};
    if (sigaction(SIGTERM, &end, NULL) || sigaction(SIGINT, &end, NULL) || sigaction(SIGBUS, &bus_error, NULL))
        fail(exit_failed, "sigaction");
}

static uint64_t parse_number(const char *name, const char *text, uint64_t min, uint64_t max)
{
    char *rest;
    errno = 0;
    uint64_t value = strtoull(text, &rest, 10);
    if (errno || rest == text || *rest || *text == '-' || value < min || value > max) {
        fprintf(stderr, "tiny-vmm: --%s: not a number from %llu to %llu: %s\n", name, (unsigned long long)min,
                (unsigned long long)max, text);
        exit(exit_usage);
    }
    return value;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option known[] = {
        {"fd", required_argument, NULL, 'f'},
        {"size", required_argument, NULL, 's'},
        {"name", required_argument, NULL, 'n'},
        {"boot", no_argument, NULL, 'b'},
        {"tick-every", required_argument, NULL, 't'},
        {"resume", no_argument, NULL, 'r'},
        {"probe", no_argument, NULL, 'p'},
        {"device", required_argument, NULL, 'd'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {.fd = -1, .device = "/dev/kvm"};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'f': options.fd = (int)parse_number("fd", optarg, 0, INT32_MAX); break;
        case 's': options.size = parse_number("size", optarg, size_min, 1ull << 46); break;
        case 't': options.tick_every = (uint32_t)parse_number("tick-every", optarg, 1, UINT32_MAX); break;
        case 'b': options.boot = true; break;
        case 'r': options.resume = true; break;
        case 'p': options.probe = true; break;
        case 'd': options.device = optarg; break;
        case 'n': options.name = optarg; break;
        default: exit(exit_usage); /* getopt has said why */
        }
    }
    if (options.probe)
        return options;
    const bool knows_size = options.name != NULL && options.resume;
    if (optind < argc || (options.fd < 0) == (options.name == NULL) || options.size % page_size || !options.size != knows_size ||
        options.boot == options.resume || (options.resume && options.tick_every))
        fail_plainly(exit_usage, "usage: tiny-vmm (--fd N | --name NAME) --size BYTES (--boot [--tick-every K] | --resume)");
    if (!options.tick_every)
        options.tick_every = tick_every_default;
    return options;
}

/* A virtual machine with one virtual CPU and no memory. */
static struct machine create_machine(const char *device)
{
    struct machine machine;
    if ((machine.kvm = open(device, O_RDWR | O_CLOEXEC)) < 0)
        fail(exit_no_kvm, "no KVM: open");
    if (ioctl(machine.kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
        fail_plainly(exit_no_kvm, "no KVM: not a KVM device of the known version");
    if ((machine.vm = ioctl(machine.kvm, KVM_CREATE_VM, 0)) < 0)
        fail(exit_no_kvm, "no KVM: KVM_CREATE_VM");
    if (ioctl(machine.vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map_address) ||
        ioctl(machine.vm, KVM_SET_TSS_ADDR, (unsigned long)tss_address))
        fail(exit_no_kvm, "no KVM: KVM_SET_TSS_ADDR");
    if ((machine.vcpu = ioctl(machine.vm, KVM_CREATE_VCPU, 0)) < 0)
        fail(exit_no_kvm, "no KVM: KVM_CREATE_VCPU");
    int run_size = ioctl(machine.kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (run_size < (int)sizeof *machine.run)
        fail_plainly(exit_no_kvm, "no KVM: KVM_GET_VCPU_MMAP_SIZE");
    machine.run = mmap(NULL, (size_t)run_size, PROT_READ | PROT_WRITE, MAP_SHARED, machine.vcpu, 0);
    if (machine.run == MAP_FAILED)
        fail(exit_no_kvm, "no KVM: mmap of the virtual CPU");
    return machine;
}

static void add_slot(const struct machine *machine, uint32_t slot, uint64_t address, uint8_t *memory, uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = address,
        .memory_size = size,
        .userspace_addr = (uintptr_t)memory,
    };
    if (ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region))
        fail(exit_failed, "KVM_SET_USER_MEMORY_REGION");
}

static void plug_memory(const struct machine *machine, uint8_t *memory, uint64_t size)
{
    uint64_t low = size < low_memory_max ? size : low_memory_max;
    add_slot(machine, 0, 0, memory, low);
    if (size > low)
        add_slot(machine, 1, high_memory_address, memory + low, size - low);
}

/* Real mode, all segments at zero, about to run the guest's first instruction. */
static void reset_vcpu(const struct machine *machine)
{
    struct kvm_sregs sregs;
    struct kvm_regs regs = {.rip = code_address, .rflags = 2 /* the bit that is always set */};
    if (ioctl(machine->vcpu, KVM_GET_SREGS, &sregs))
        fail(exit_failed, "KVM_GET_SREGS");
    sregs.cs.base = sregs.cs.selector = 0;
    if (ioctl(machine->vcpu, KVM_SET_SREGS, &sregs))
        fail(exit_failed, "KVM_SET_SREGS");
    if (ioctl(machine->vcpu, KVM_SET_REGS, &regs))
        fail(exit_failed, "KVM_SET_REGS");
}

static void write_guest(uint8_t *memory, uint32_t tick_every)
{
    memset(memory + counter_address, 0, sizeof(uint64_t));
    memcpy(memory + code_address, guest_code, sizeof guest_code);
    memcpy(memory + tick_every_address, &tick_every, sizeof tick_every);
}

static bool holds_guest(const uint8_t *memory)
{
    uint8_t expected[sizeof guest_code];
    memcpy(expected, guest_code, sizeof expected);
    memcpy(expected + 2, memory + tick_every_address, sizeof(uint32_t));
    return memcmp(memory + code_address, expected, sizeof expected) == 0;
}

static uint64_t read_counter(const uint8_t *memory)
{
    return __atomic_load_n((const uint64_t *)(memory + counter_address), __ATOMIC_RELAXED);
}

static void print_line(const char *word, uint64_t counter)
{
    if (printf("%s %llu\n", word, (unsigned long long)counter) < 0 || fflush(stdout))
        fail(exit_failed, "standard output");
}

static void must(mb_code code, const mb_error *error)
{
    if (code != MB_OK)
        fail_plainly(exit_failed, error->message);
}

/* New memory to boot in, or the memory in which a guest was. */
static void take_memory(struct memory *memory, const struct options *options)
{
    mb_error error;
    mb_rebuilt *rebuilt;
    void *bytes;
    must(mb_connect(NULL, &memory->broker, &error), &error);
    if (options->boot) {
        must(mb_allocate(memory->broker, options->name, options->size, NULL, NULL, &error), &error);
        must(mb_map(memory->broker, options->name, NULL, &memory->mapping, &error), &error);
    } else {
        must(mb_claim(memory->broker, options->name, NULL, &rebuilt, &error), &error);
        if (rebuilt->claimed[0].mapping_count != 1)
            fail_plainly(exit_failed, "no guest in this memory to resume");
        memory->mapping = rebuilt->claimed[0].mappings[0];
        mb_rebuilt_free(rebuilt);
    }
    must(mb_mapping_memory(memory->mapping, &bytes, &error), &error);
    memory->bytes = bytes;
    memory->size = mb_mapping_get_info(memory->mapping)->length;
}

static void map_memory(struct memory *memory, const struct options *options)
{
    void *const bytes = mmap(NULL, options->size, PROT_READ | PROT_WRITE, MAP_SHARED, options->fd, 0);
    if (bytes == MAP_FAILED)
        fail(exit_failed, "mmap of the memory");
    memory->bytes = bytes;
    memory->size = options->size;
}

/* The guest does not run now. Without slots nothing of KVM reaches the memory; the library unmaps it and closes the descriptor. */
static mb_reply on_revoke(void *context, mb_mapping *mapping, const mb_revoke_notice *notice)
{
    const struct machine *const machine = context;
    (void)notice;
    add_slot(machine, 0, 0, NULL, 0);
    if (mb_mapping_get_info(mapping)->length > low_memory_max)
        add_slot(machine, 1, high_memory_address, NULL, 0);
    puts("revoked");
    ending = 1;
    return MB_DONE;
}

static void run_guest(const struct machine *machine, const struct memory *guest)
{
    const struct timespec pause = {.tv_nsec = pause_ns};
    const uint8_t *const memory = guest->bytes;
    mb_error error;
    running = machine->run;
    while (!ending) {
        if (guest->broker)
            must(mb_dispatch(guest->broker, 0, &error), &error);
        if (ending)
            break;
        if (ioctl(machine->vcpu, KVM_RUN, 0)) {
            if (errno == EINTR)
                continue;
            if (errno == EFAULT || errno == EHWPOISON)
                fail(exit_memory_gone, "the memory is gone: KVM_RUN");
            fail(exit_failed, "KVM_RUN");
        }
        if (machine->run->exit_reason != KVM_EXIT_IO || machine->run->io.port != tick_port) {
            /*
             * Where KVM emulates real mode, memory that is gone is not an EFAULT but a failed instruction or a
             * device access. Looking at the memory tells: if it is gone, this ends in on_bus_error.
             */
            const char *code = holds_guest(memory) ? "whole" : "overwritten";
            fprintf(stderr, "tiny-vmm: the guest went astray: exit reason %u, its code is %s\n",
                    machine->run->exit_reason, code);
            exit(exit_failed);
        }
        print_line("counter", read_counter(memory));
        nanosleep(&pause, NULL); /* a signal ends it early, and that is right */
    }
}

int main(int argc, char **argv)
{
    struct options options = parse_options(argc, argv);
    struct machine machine = create_machine(options.device);
    if (options.probe)
        return 0;

    struct memory memory = {0};
    if (options.name)
        take_memory(&memory, &options);
    else
        map_memory(&memory, &options);
    install_handlers();
    if (options.boot)
        write_guest(memory.bytes, options.tick_every);
    else if (!holds_guest(memory.bytes))
        fail_plainly(exit_failed, "no guest in this memory to resume");
    else
        print_line("resumed", read_counter(memory.bytes));

    plug_memory(&machine, memory.bytes, memory.size);
    reset_vcpu(&machine);
    if (memory.mapping)
        mb_mapping_on_revoke(memory.mapping, on_revoke, &machine);
    run_guest(&machine, &memory);
    mb_close(memory.broker);
    return 0;
}
