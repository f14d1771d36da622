/* Holds libmembroker to the rules of its header that no case of the table shows; says a line for each. */
#include <membroker.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static mb_broker *broker;
static mb_error error;

static void say(const char *what, mb_code code)
{
    printf("%s: %s\n", what, mb_code_name(code));
    fflush(stdout);
}

static void options_of_a_newer_header(void)
{
    mb_allocate_options allocate = {0};
    mb_map_options map = {0};
    mb_mapping *mapping = NULL;
    allocate.reserved[3] = map.reserved[0] = 1;
    say("allocate with something reserved", mb_allocate(broker, "rules/x", 4096, &allocate, NULL, &error));
    say("map with something reserved", mb_map(broker, "rules/x", &map, &mapping, &error));
}

static void wrong_arguments(void)
{
    mb_allocate_options options = {0};
    char *reply = NULL;
    say("no broker", mb_allocate(NULL, "rules/x", 4096, NULL, NULL, NULL));
    say("no name", mb_allocate(broker, NULL, 4096, NULL, NULL, NULL));
    say("a name that is no UTF-8", mb_allocate(broker, "rules/\xff", 4096, NULL, NULL, &error));
    options.metadata = "{\"a\":1";
    say("metadata that are no JSON", mb_allocate(broker, "rules/x", 4096, &options, NULL, &error));
    options.metadata = "[1]";
    say("metadata that are no object", mb_allocate(broker, "rules/x", 4096, &options, NULL, &error));
    say("a method that would be JSON", mb_call(broker, "GetStatus\",\"x\":\"", NULL, &reply, &error));
    say("parameters that are no JSON", mb_call(broker, "GetStatus", "{}}", &reply, &error));
}

static void a_call_of_any_method(void)
{
    char *reply = NULL;
    say("GetRecovery", mb_call(broker, "GetRecovery", NULL, &reply, &error));
    puts(reply != NULL && strncmp(reply, "{\"recoveries\":[{", 16) == 0 ? "it has its reply" : "it has none");
    free(reply);
    say("Watch needs more", mb_call(broker, "Watch", "{\"mine\":true}", &reply, &error));
}

static void a_child(void)
{
    if (fork() == 0) {
        mb_status status;
        say("in a child", mb_get_status(broker, &status, &error));
        mb_close(broker);
        _exit(0);
    }
    wait(NULL);
    mb_status status;
    say("in its parent", mb_get_status(broker, &status, &error));
}

/* A broker that does not answer is not waited for beyond the time, and a later call goes well. */
static void a_broker_that_stands_still(void)
{
    mb_broker *hasty;
    mb_status status;
    mb_connect_options options = {0};
    options.call_ms = 100;
    say("connect", mb_connect(&options, &hasty, &error));
    mb_get_status(hasty, &status, &error);
    kill(status.pid, SIGSTOP);
    say("while it stands still", mb_allocate(hasty, "rules/late", 4096, NULL, NULL, &error));
    kill(status.pid, SIGCONT);
    say("afterwards", mb_get_status(hasty, &status, &error));
    mb_close(hasty);
}

static mb_reply in_handler(void *context, mb_mapping *mapping, const mb_revoke_notice *notice)
{
    (void)notice;
    say("dispatch in a handler", mb_dispatch(broker, 0, &error));
    say("release in a handler", mb_release(broker, "rules/ram", NULL, NULL, &error));
    say("close of the mapping in its handler", mb_mapping_close(mapping, NULL, &error));
    mb_close(broker);
    say("after mb_close() in a handler", mb_allocate(broker, "rules/x", 4096, NULL, NULL, &error));
    *(bool *)context = true;
    return MB_DONE;
}

static void handlers(void)
{
    mb_mapping *mapping;
    bool called = false;
    mb_allocate(broker, "rules/ram", 4096, NULL, NULL, &error);
    say("map", mb_map(broker, "rules/ram", NULL, &mapping, &error));
    mb_mapping_on_revoke(mapping, in_handler, &called);
    printf("revoke %lld\n", (long long)mb_mapping_get_info(mapping)->id);
    fflush(stdout);
    while (!called) {
        struct pollfd one = {.fd = mb_fd(broker), .events = POLLIN};
        poll(&one, 1, -1);
        mb_dispatch(broker, 0, &error);
    }
}

int main(void)
{
    say("connect", mb_connect(NULL, &broker, &error));
    options_of_a_newer_header();
    wrong_arguments();
    a_call_of_any_method();
    a_child();
    a_broker_that_stands_still();
    handlers();
    return 0;
}
