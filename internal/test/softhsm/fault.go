package softhsm

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/daemon"
)

//go:embed testdata/fault.c
var faultSource string

// Codes of PKCS#11 that the tests ask for (section 6 of its specification).
const (
	GeneralError         = 0x05
	DeviceMemory         = 0x31
	DeviceRemoved        = 0x32
	SessionHandleInvalid = 0xB3
	TokenNotPresent      = 0xE0
)

// Fault makes functions of the module fail.
type Fault struct {
	t    testing.TB
	file string
}

// Faulty puts a module that fails on demand before that of the HSM.
func (h *HSM) Faulty() *Fault {
	h.t.Helper()
	compiler := daemon.Program("cc")
	if compiler == "" {
		daemon.Need(h.t, "no C compiler (cc) is installed")
	}
	dir := h.t.TempDir()
	source, module := filepath.Join(dir, "fault.c"), filepath.Join(dir, "fault.so")
	if err := os.WriteFile(source, []byte(faultSource), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.run("cc", "-shared", "-fPIC", "-w", fmt.Sprintf("-DBEHIND=%q", h.Module), "-o", module, source, "-ldl")
	h.Module = module
	f := &Fault{t: h.t, file: filepath.Join(dir, "fault")}
	h.t.Setenv("CERTPORTAL_TEST_FAULT", f.file)
	return f
}

// Set makes a function fail with a code, after a while; code 0 only makes it slow.
func (f *Fault) Set(function string, code int, after time.Duration) {
	f.t.Helper()
	f.set(function, code, after, false)
}

func (f *Fault) set(function string, code int, after time.Duration, once bool) {
	f.t.Helper()
	times := "always"
	if once {
		times = "once"
	}
	next := f.file + ".next" // renamed, so that the module never reads half of it
	if err := os.WriteFile(next, fmt.Appendf(nil, "%s %d %d %s\n", function, code, after.Milliseconds(), times), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(next, f.file); err != nil {
		f.t.Fatal(err)
	}
}

// Once makes the next call of a function fail.
func (f *Fault) Once(function string, code int) {
	f.t.Helper()
	f.set(function, code, 0, true)
}

// Clear lets all functions work.
func (f *Fault) Clear() { f.Set("none", 0, 0) }

// Calls counts the calls of C_Login or C_Sign.
func (f *Fault) Calls(function string) int {
	log, err := os.ReadFile(f.file + ".log")
	if err != nil {
		return 0
	}
	return strings.Count(string(log), function+"\n")
}
