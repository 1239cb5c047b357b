package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"certportal/internal/test/testkit"
	"certportal/internal/test/testkit/fixture"
)

// pseudoTerminal gives both ends: what a person sees and types, and what the program has.
func pseudoTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person = testkit.Must(os.OpenFile("/dev/ptmx", os.O_RDWR, 0))(t)
	var number, unlocked int32
	for request, value := range map[uintptr]*int32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, person.Fd(), request, uintptr(unsafe.Pointer(value))); errno != 0 {
			t.Fatal(errno)
		}
	}
	program = testkit.Must(os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0))(t)
	t.Cleanup(func() { _, _ = person.Close(), program.Close() })
	return person, program
}

// echoes reports whether a terminal shows what is typed.
func echoes(t *testing.T, terminal *os.File) bool {
	var state syscall.Termios
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&state))); errno != 0 {
		t.Fatal(errno)
	}
	return state.Lflag&syscall.ECHO != 0
}

// expect reads what the person sees until the words come.
func expect(t *testing.T, person io.Reader, seen *strings.Builder, words string) {
	t.Helper()
	from := seen.Len()
	one := make([]byte, 1)
	for !strings.Contains(seen.String()[from:], words) {
		if _, err := person.Read(one); err != nil {
			t.Fatalf("waiting for %q: %v, after\n%s", words, err, seen)
		}
		seen.Write(one)
	}
}

// TestSetupHidesPasswords types on a terminal: what is typed can be seen, a password not.
func TestSetupHidesPasswords(t *testing.T) {
	person, program := pseudoTerminal(t)
	folder := t.TempDir()
	args := []string{
		"setup", "--config", filepath.Join(folder, "certportal.yaml"), "--data", filepath.Join(folder, "data"),
		"--public-url=certificates.corp.example", "--public-http-url=pki.corp.example", "--listen=127.0.0.1:0", "--listen-http=127.0.0.1:0",
		"--tls-certificate=", "--acme-directory=", "--anchor-file=", "--directory=builtin", "--domain=corp.example", "--mail-host=", "--ca=own", "--time-zone=UTC",
	}
	code := make(chan int, 1)
	go func() { code <- run(t.Context(), args, streams{program, program, program}, fixture.FastCA()) }()
	var seen strings.Builder
	for _, step := range []struct {
		ask, answer string
		hidden      bool
	}{
		{"such as Contoso: ", "Contoso", false},
		{"data folder: ", "postgres://portal:secretword@127.0.0.1:1/none", true},
		{"again? [yes]: ", "", false},
		{"or - for none: ", "-", true},
	} {
		expect(t, person, &seen, step.ask)
		if step.hidden {
			testkit.Eventually(t, "the terminal shows what is typed", func() bool { return !echoes(t, program) })
		}
		testkit.Must(person.WriteString(step.answer + "\n"))(t)
	}
	expect(t, person, &seen, "Next:")
	go func() { _, _ = io.Copy(io.Discard, person) }()
	if got := <-code; got != exitDone {
		t.Errorf("exit %d\n%s", got, &seen)
	}
	if text := seen.String(); !strings.Contains(text, "Contoso") || strings.Contains(text, "secretword") {
		t.Errorf("seen is\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(folder, "database")); err == nil {
		t.Error("the address that was taken back was written")
	}
}
