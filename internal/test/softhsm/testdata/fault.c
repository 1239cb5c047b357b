// A PKCS#11 module in front of another one, which fails or hangs on demand. The file that
// CERTPORTAL_TEST_FAULT names holds "FUNCTION CODE MILLISECONDS TIMES": the function returns
// the code, after so long; code 0 calls the module behind; TIMES is always or once. Every call of C_Login and C_Sign is a
// line in FILE.log.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long rv;
typedef struct {
	unsigned char major, minor;
	rv (*call[68])();
} functions;

static functions *behind, front;

static rv fault(const char *name) {
	const char *path = getenv("CERTPORTAL_TEST_FAULT");
	char wanted[64] = "", times[16] = "", log[4096];
	unsigned long code = 0, milliseconds = 0;
	if (path == NULL) return 0;
	if (strcmp(name, "C_Login") == 0 || strcmp(name, "C_Sign") == 0) {
		snprintf(log, sizeof log, "%s.log", path);
		FILE *f = fopen(log, "a");
		if (f != NULL) {
			fprintf(f, "%s\n", name);
			fclose(f);
		}
	}
	FILE *f = fopen(path, "r");
	if (f == NULL) return 0;
	int n = fscanf(f, "%63s %lu %lu %15s", wanted, &code, &milliseconds, times);
	fclose(f);
	if (n < 4 || strcmp(wanted, name) != 0) return 0;
	if (strcmp(times, "once") == 0) unlink(path);
	usleep(milliseconds * 1000);
	return code;
}

#define HOOK(name, index, params, args) \
	static rv name params { \
		rv code = fault(#name); \
		return code != 0 ? code : behind->call[index] args; \
	}

HOOK(C_GetSlotList, 4, (unsigned char present, void *list, void *count), (present, list, count))
HOOK(C_OpenSession, 12, (rv slot, rv flags, void *app, void *notify, void *session), (slot, flags, app, notify, session))
HOOK(C_Login, 18, (rv session, rv user, void *pin, rv size), (session, user, pin, size))
HOOK(C_FindObjectsInit, 26, (rv session, void *template, rv count), (session, template, count))
HOOK(C_SignInit, 42, (rv session, void *mechanism, rv key), (session, mechanism, key))
HOOK(C_Sign, 43, (rv session, void *data, rv size, void *signature, void *length), (session, data, size, signature, length))
HOOK(C_GenerateKeyPair, 59, (rv session, void *mechanism, void *public, rv publics, void *private, rv privates, void *publicKey, void *privateKey), (session, mechanism, public, publics, private, privates, publicKey, privateKey))

rv C_GetFunctionList(functions **list) {
	void *module = dlopen(BEHIND, RTLD_NOW | RTLD_LOCAL);
	rv (*get)(functions **);
	if (module == NULL || (get = (rv (*)(functions **))dlsym(module, "C_GetFunctionList")) == NULL) return 5;
	rv code = get(&behind);
	if (code != 0) return code;
	front = *behind;
	front.call[3] = (rv (*)())C_GetFunctionList;
	front.call[4] = (rv (*)())C_GetSlotList;
	front.call[12] = (rv (*)())C_OpenSession;
	front.call[18] = (rv (*)())C_Login;
	front.call[26] = (rv (*)())C_FindObjectsInit;
	front.call[42] = (rv (*)())C_SignInit;
	front.call[43] = (rv (*)())C_Sign;
	front.call[59] = (rv (*)())C_GenerateKeyPair;
	*list = &front;
	return 0;
}
