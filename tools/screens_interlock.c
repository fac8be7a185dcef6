/* The interlock's part of status, and rules. */
#include <stdio.h>
#include <string.h>

#include "tools/duration.h"
#include "tools/screens.h"

static void draw_list(const char *title, const json_t *list)
{
    size_t i;
    json_t *item;
    if (json_array_size(list) == 0) {
        return;
    }
    printf("  %s", title);
    json_array_foreach(list, i, item)
    {
        printf("%s%s", i > 0 ? ", " : " ", json_string_value(item));
    }
    printf("\n");
}

static void draw_gate(const json_t *interlock)
{
    json_t *gate = json_object_get(interlock, "gate");
    const char *check;
    json_t *advice;
    draw_list("! arming gate, NOT ASKED FOR (waived):", json_object_get(gate, "waived"));
    json_object_foreach(json_object_get(gate, "advice"), check, advice)
    {
        printf("  arming gate misses %s: %s\n", check, json_string_value(advice));
    }
}

static void draw_bypasses(const json_t *interlock)
{
    size_t i;
    json_t *item;
    char left[48];
    json_array_foreach(json_object_get(interlock, "bypasses"), i, item)
    {
        duration_words(number_of(item, "until_s"), left);
        printf("  ! BYPASSED: %s by %s for another %s: %s\n", text_of(item, "rule"), text_of(item, "person"), left,
               text_of(item, "reason"));
    }
}

static void draw_alarms(const json_t *interlock)
{
    size_t i;
    json_t *item;
    char left[48];
    json_array_foreach(json_object_get(interlock, "alarms"), i, item)
    {
        duration_words(number_of(item, "shelved_s"), left);
        printf("  alarm (severity %.0f): %s %s%s%s\n", number_of(item, "severity"), text_of(item, "rule"),
               text_of(item, "state"), number_of(item, "shelved_s") > 0 ? ", shelved for another " : "",
               number_of(item, "shelved_s") > 0 ? left : "");
    }
}

static void draw_test(const json_t *interlock)
{
    const json_t *test = json_object_get(interlock, "test");
    if (json_is_object(test)) {
        printf("  proof test of %s: %s, safe after %.1f ms, back after %.1f ms\n", text_of(test, "output"),
               text_of(test, "result"), number_of(test, "safe_ns") / 1e6, number_of(test, "back_ns") / 1e6);
    }
}

static void draw_outputs(const json_t *status)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(status, "outputs"), i, item)
    {
        printf("  output %-20s %-12s", text_of(item, "name"), true_of(item, "energised") ? "energised" : "safe");
        if (strcmp(text_of(item, "feedback"), "none") != 0) {
            printf(" read back as %s", text_of(item, "feedback"));
        }
        printf("%s%s", true_of(item, "latched") ? " TRIPPED ALONE" : "", true_of(item, "held") ? " held safe" : "");
        if (number_of(item, "last_errno") != 0) {
            printf(" does not take commands: %s", strerror((int)number_of(item, "last_errno")));
        }
        printf("\n");
    }
}

/* What stands beside the interlock: whose word it runs on, and where it is written down. */
static void draw_records(const json_t *status)
{
    const json_t *configuration = json_object_get(status, "configuration");
    const json_t *audit = json_object_get(status, "audit");
    printf("  configuration %s, %s%s\n", text_of(configuration, "checksum"),
           true_of(configuration, "acknowledged") ? "acknowledged by " : "not acknowledged",
           true_of(configuration, "acknowledged") ? text_of(configuration, "by") : "");
    if (number_of(audit, "last_errno") != 0) {
        printf("  ! the audit log %s cannot be written: %s\n", text_of(audit, "file"),
               strerror((int)number_of(audit, "last_errno")));
    }
    if (number_of(audit, "lost") > 0 || number_of(audit, "pending") > 0) {
        printf("  audit log: %.0f lines not on disk yet, %.0f lost\n", number_of(audit, "pending"),
               number_of(audit, "lost"));
    }
}

void draw_interlock(const json_t *status)
{
    const json_t *interlock = json_object_get(status, "interlock");
    size_t i;
    json_t *item;
    printf("\ninterlock: %s, %.0f trip%s, %.0f cycle%s over budget, worst gap %.0f us\n",
           text_of(interlock, "state"), number_of(interlock, "trips"),
           number_of(interlock, "trips") == 1 ? "" : "s", number_of(interlock, "misses"),
           number_of(interlock, "misses") == 1 ? "" : "s", number_of(interlock, "worst_gap_ns") / 1e3);
    json_array_foreach(json_object_get(interlock, "first_out_all"), i, item)
    {
        printf("  first-out: %s\n", text_of(item, "text"));
    }
    json_array_foreach(json_object_get(interlock, "causes"), i, item)
    {
        printf("  stands: %s\n", text_of(item, "text"));
    }
    draw_bypasses(interlock);
    draw_alarms(interlock);
    draw_gate(interlock);
    draw_test(interlock);
    draw_outputs(status);
    draw_records(status);
}

static void draw_rule(const json_t *rule)
{
    char value[32] = "-";
    char margin[32] = "-";
    char left[48];
    if (json_is_number(json_object_get(rule, "value"))) {
        snprintf(value, sizeof(value), "%.6g", number_of(rule, "value"));
    }
    if (json_is_number(json_object_get(rule, "margin"))) {
        snprintf(margin, sizeof(margin), "%.6g", number_of(rule, "margin"));
    }
    printf("%-24s %-10s %-10s %12s %-8s %-8s %12s %8.0f", text_of(rule, "name"), text_of(rule, "form"),
           text_of(rule, "role"), value, text_of(rule, "unit"), text_of(rule, "truth"), margin,
           number_of(rule, "demands"));
    if (true_of(rule, "shadow")) {
        printf("  shadow");
    }
    if (json_is_number(json_object_get(rule, "bypass_s"))) {
        duration_words(number_of(rule, "bypass_s"), left);
        printf("  BYPASSED for another %s", left);
    }
    if (json_is_string(json_object_get(rule, "alarm"))) {
        printf("  %s", text_of(rule, "alarm"));
    }
    if (json_is_number(json_object_get(rule, "shelved_s"))) {
        duration_words(number_of(rule, "shelved_s"), left);
        printf("  shelved for another %s", left);
    }
    printf("\n");
}

void draw_rules(json_t *report)
{
    size_t i;
    json_t *rule;
    printf("%-24s %-10s %-10s %12s %-8s %-8s %12s %8s\n", "rule", "form", "role", "value", "unit", "truth",
           "margin", "demands");
    json_array_foreach(json_object_get(report, "rules"), i, rule)
    {
        draw_rule(rule);
    }
}
