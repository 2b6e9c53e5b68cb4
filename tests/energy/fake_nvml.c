/* A small libnvidia-ml.so.1 for tests: known power, a counter that ticks, and faults on request.
 *
 *     cc -shared -fPIC -Wl,-soname,libnvidia-ml.so.1 -o libnvidia-ml.so.1 fake_nvml.c
 *
 * Power of GPU i is (i + 1) x FAKE_POWER_MW. The counter is the exact integral of power, shown in steps of FAKE_TICK_MS
 * of CLOCK_MONOTONIC, so all processes agree. Times of faults count from nvmlInit. Knobs are environment variables:
 * FAKE_COUNT, FAKE_POWER_MW, FAKE_TICK_MS, FAKE_ARCH; FAKE_INIT_CODE, FAKE_ENERGY_CODE, FAKE_POWER_CODE (returned by
 * those calls); FAKE_FREEZE_MS, FAKE_BACK_MS, FAKE_LOST_MS (from then on); FAKE_SQUARE_MS (half period of a wave of
 * 0.5 and 1.5 x power); FAKE_INSTANT (1: power fields 185 and 186 exist); FAKE_MIG (1: MIG mode is on);
 * FAKE_PIDS (other processes); FAKE_JUMP_MS (from then on the counter is 1.3e10 J higher); FAKE_FORBIDDEN (index of a
 * board that may not be opened); FAKE_MODULE (1: GPU and CPU share a module). -DNO_ENERGY and -DNO_V3 leave out the
 * symbols of the counter and of the third list of processes, as old drivers do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { u32 index; } Device;
typedef struct { u32 field, scope; long long timestamp_us, latency_us; int type, code; u64 value; } Field;
typedef struct { u64 total, free, used; } Memory;
typedef struct { u32 gpu, memory; } Rates;
typedef struct { u32 pid; u64 bytes; u32 instance, compute; } Process;

enum { OK = 0, UNINITIALISED = 1, INVALID = 2, NOT_SUPPORTED = 3, NO_PERMISSION = 4, NOT_FOUND = 6, TOO_SMALL = 7, LOST = 15 };

static Device devices[16];
static int users = 0;
static double began_ms;

static double knob(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}
static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
static int passed(const char *name) {
    double at = knob(name, -1);
    return at >= 0 && now_ms() - began_ms >= at;
}
static u32 count(void) { return (u32)knob("FAKE_COUNT", 1); }
static double power_mw(Device *d) { return (d->index + 1) * knob("FAKE_POWER_MW", 100000); }
static int ready(void) { return !users ? UNINITIALISED : passed("FAKE_LOST_MS") ? LOST : OK; }
static int put(char *to, u32 size, const char *text) {
    if (size < strlen(text) + 1) return TOO_SMALL;
    strcpy(to, text);
    return OK;
}
static double power_now_mw(Device *d) {
    double half = knob("FAKE_SQUARE_MS", 0);
    if (half <= 0) return power_mw(d);
    return power_mw(d) * ((long long)(now_ms() / half) % 2 ? 0.5 : 1.5);
}

int nvmlInitWithFlags(u32 flags) {
    int code = (int)knob("FAKE_INIT_CODE", 0);
    (void)flags;
    if (code) return code;
    if (!users++) began_ms = now_ms();
    for (u32 i = 0; i < 16; i++) devices[i].index = i;
    return OK;
}
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return users ? (users--, OK) : UNINITIALISED; }
const char *nvmlErrorString(int code) { return code ? "fake error" : "Success"; }
int nvmlSystemGetDriverVersion(char *to, u32 size) { return put(to, size, "550.0-fake"); }
int nvmlSystemGetNVMLVersion(char *to, u32 size) { return put(to, size, "12.550.0-fake"); }
int nvmlDeviceGetCount_v2(u32 *n) { if (!users) return UNINITIALISED; *n = count(); return OK; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, Device **d) {
    if (!users) return UNINITIALISED;
    if (i >= count()) return INVALID;
    if (i == knob("FAKE_FORBIDDEN", -1)) return NO_PERMISSION;
    *d = &devices[i];
    return OK;
}
static void uuid_of(u32 i, char *to) { sprintf(to, "GPU-%c0000000-0000-0000-0000-00000000000%u", 'a' + (int)i, i); }
int nvmlDeviceGetHandleByUUID(const char *uuid, Device **d) {
    char own[64];
    for (u32 i = 0; i < count(); i++) {
        uuid_of(i, own);
        if (!strcmp(own, uuid)) { *d = &devices[i]; return OK; }
    }
    return NOT_FOUND;
}
int nvmlDeviceGetName(Device *d, char *to, u32 size) { (void)d; return put(to, size, "FAKE GPU"); }
int nvmlDeviceGetUUID(Device *d, char *to, u32 size) { char own[64]; uuid_of(d->index, own); return put(to, size, own); }
int nvmlDeviceGetArchitecture(Device *d, u32 *arch) { (void)d; *arch = (u32)knob("FAKE_ARCH", 9); return OK; }
int nvmlDeviceGetPowerUsage(Device *d, u32 *mw) {
    int code = (int)knob("FAKE_POWER_CODE", 0);
    if (ready() || code) return ready() ? ready() : code;
    *mw = (u32)power_now_mw(d);
    return OK;
}
#ifndef NO_ENERGY
int nvmlDeviceGetTotalEnergyConsumption(Device *d, u64 *mj) {
    int code = (int)knob("FAKE_ENERGY_CODE", 0);
    double tick = knob("FAKE_TICK_MS", 100), half = knob("FAKE_SQUARE_MS", 0), ms = now_ms();
    if (ready() || code) return ready() ? ready() : code;
    if (passed("FAKE_FREEZE_MS")) ms = began_ms + knob("FAKE_FREEZE_MS", 0);
    ms = (double)(u64)(ms / tick) * tick;
    double area = ms;  /* of power over mean power, in ms */
    if (half > 0) {
        double phase = ms - (double)(u64)(ms / (2 * half)) * 2 * half;
        area += 0.5 * (phase < half ? phase : 2 * half - phase);
    }
    if (passed("FAKE_BACK_MS")) area -= began_ms;  /* as if it began anew with nvmlInit: never below zero */
    *mj = (u64)(power_mw(d) * area / 1e3) + (passed("FAKE_JUMP_MS") ? 13000000000000ULL : 0);
    return OK;
}
#endif
int nvmlDeviceGetFieldValues(Device *d, int n, Field *f) {
    if (ready()) return ready();
    for (int i = 0; i < n; i++) {
        f[i].code = NOT_SUPPORTED;
        f[i].timestamp_us = (long long)(now_ms() * 1e3);
        if ((f[i].field == 185 || f[i].field == 186) && knob("FAKE_INSTANT", 0)) {
            f[i].code = OK; f[i].type = 1; f[i].value = (u64)power_now_mw(d);
        }
    }
    return OK;
}
int nvmlDeviceGetMemoryInfo(Device *d, Memory *m) { (void)d; m->total = 1 << 30; m->free = 1 << 29; m->used = 1 << 29; return OK; }
int nvmlDeviceGetUtilizationRates(Device *d, Rates *r) { (void)d; r->gpu = 50; r->memory = 10; return OK; }
int nvmlDeviceGetTemperature(Device *d, int sensor, u32 *c) { (void)d; (void)sensor; *c = 61; return OK; }
int nvmlDeviceGetEnforcedPowerLimit(Device *d, u32 *mw) { (void)d; *mw = 300000; return OK; }
int nvmlDeviceGetComputeMode(Device *d, int *mode) { (void)d; *mode = 0; return OK; }
int nvmlDeviceGetCurrentClocksThrottleReasons(Device *d, u64 *bits) { (void)d; *bits = 0x24; return OK; }
int nvmlDeviceGetPersistenceMode(Device *d, int *mode) { (void)d; *mode = 1; return OK; }
int nvmlDeviceGetClockInfo(Device *d, int kind, u32 *mhz) { (void)d; (void)kind; *mhz = 1410; return OK; }
int nvmlDeviceGetMigMode(Device *d, u32 *now, u32 *later) {
    (void)d;
    if (!knob("FAKE_MIG", 0)) return NOT_SUPPORTED;
    *now = *later = 1;
    return OK;
}
static int processes(Device *d, u32 *n, Process *p) {
    u32 have = (u32)knob("FAKE_PIDS", 0), room = *n;
    (void)d;
    *n = have;
    if (!have) return OK;
    if (!p || room < have) return TOO_SMALL;
    for (u32 i = 0; i < have; i++) { p[i].pid = 4000000 + i; p[i].bytes = 1 << 20; p[i].instance = p[i].compute = 0; }
    return OK;
}
#ifndef NO_V3
int nvmlDeviceGetComputeRunningProcesses_v3(Device *d, u32 *n, Process *p) { return processes(d, n, p); }
#endif
int nvmlDeviceGetComputeRunningProcesses_v2(Device *d, u32 *n, Process *p) { return processes(d, n, p); }
int nvmlDeviceGetC2cModeInfoV(Device *d, u32 *enabled) {
    (void)d;
    if (!knob("FAKE_MODULE", 0)) return NOT_SUPPORTED;
    *enabled = 1;
    return OK;
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(Device *d, u32 *n, Process *p) { (void)d; (void)p; *n = 0; return OK; }
