package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"certportal/internal/test/daemon"
)

// needProgram skips the test without a program, and fails it on CI.
func needProgram(t *testing.T, name string) {
	t.Helper()
	if daemon.Program(name) == "" {
		daemon.Need(t, name+" is not installed")
	}
}

// mandoc finds nothing to complain about in the page, and it explains every command.
func TestManualPage(t *testing.T) {
	needProgram(t, "mandoc")
	page := mustRun(t, "manual")
	file := filepath.Join(t.TempDir(), "certportal.8")
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	// The page has no date: builds of the same source must be equal.
	lint := exec.Command("mandoc", "-T", "lint", "-W", "warning", file)
	if out, _ := lint.CombinedOutput(); strings.Count(string(out), "\n") > strings.Count(string(out), "missing date") {
		t.Errorf("mandoc warns:\n%s", out)
	}
	shown, err := exec.Command("mandoc", "-T", "ascii", "-O", "width=500", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	plain := regexp.MustCompile(".\x08").ReplaceAll(shown, nil) // bold and underlined by overstriking
	for _, want := range []string{
		"certportal ca init", "certportal user add <login>", "--role=employee", "/etc/certportal/certportal.yaml",
		"certportal doctor exchange", "--config=FILE", "Take the root's key off this machine.",
	} {
		if !strings.Contains(string(plain), want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

// Each shell loads its own script and offers what the commands declare.
func TestCompletion(t *testing.T) {
	folder := t.TempDir()
	key := filepath.Join(folder, "settings.yaml")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		words     []string // the last is being typed
		want, not []string
	}{
		{"commands", []string{""}, []string{"serve", "ca", "user"}, []string{"init", "--role"}},
		{"begun", []string{"se"}, []string{"serve"}, []string{"ca"}},
		{"commands of a group", []string{"ca", ""}, []string{"init", "export-root-key"}, []string{"serve"}},
		{"flags of a command", []string{"user", "add", "--"}, []string{"--role", "--config"}, []string{"--serial"}},
		{"choices", []string{"user", "add", "--role", ""}, []string{"helpdesk", "auditor"}, []string{"--config", "add"}},
		{"files", []string{"--config", folder + "/"}, []string{key}, []string{"serve"}},
		{"after a value", []string{"--config", "ca", ""}, []string{"serve", "ca"}, []string{"init"}},
		{"flags of the default command", []string{"doctor", "--"}, []string{"--json", "--bundle"}, []string{"--role"}},
	}
	for shell, complete := range map[string]func(t *testing.T, script string, words []string) []string{"bash": completeBash, "zsh": completeZsh, "fish": completeFish} {
		t.Run(shell, func(t *testing.T) {
			needProgram(t, shell)
			script := filepath.Join(folder, "completion."+shell)
			if err := os.WriteFile(script, []byte(mustRun(t, "completion", shell)), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, tt := range tests {
				got := complete(t, script, tt.words)
				for _, want := range tt.want {
					if !slices.Contains(got, want) {
						t.Errorf("%s: %q is not offered: %q", tt.name, want, got)
					}
				}
				for _, not := range tt.not {
					if slices.Contains(got, not) {
						t.Errorf("%s: %q is offered: %q", tt.name, not, got)
					}
				}
			}
		})
	}
	if r := certportal(t, "", "completion", "tcsh"); r.code != exitUsage {
		t.Errorf("tcsh: exit %d", r.code)
	}
}

// shellOut runs a shell and gives the lines it prints.
func shellOut(t *testing.T, name string, args ...string) []string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return strings.Split(strings.TrimRight(string(out), "\n"), "\n")
}

func quoted(words []string) string { return "'" + strings.Join(words, "' '") + "'" }

func completeBash(t *testing.T, script string, words []string) []string {
	return shellOut(t, "bash", "--norc", "-c", fmt.Sprintf(
		"source %s; COMP_WORDS=(certportal %s); COMP_CWORD=%d; _certportal; printf '%%s\\n' \"${COMPREPLY[@]}\"", script, quoted(words), len(words)))
}

// zsh completes in its line editor only. Its function is called with the editor's
// parameters, and what it hands on is printed, as far as it begins as typed.
func completeZsh(t *testing.T, script string, words []string) []string {
	typed := words[len(words)-1]
	lines := shellOut(t, "zsh", "-f", "-c", fmt.Sprintf(
		"compdef() { : }; _describe() { print -rl -- $found }; _message() { : }; compadd() { print -rl -- $@ }\n"+
			"_files() { print -rl -- ${words[CURRENT]}* }\n"+
			"source %s; words=(certportal %s); CURRENT=%d; _certportal", script, quoted(words), len(words)+1))
	var offered []string
	for _, line := range lines {
		if word, _, _ := strings.Cut(line, ":"); strings.HasPrefix(word, typed) {
			offered = append(offered, word)
		}
	}
	return offered
}

func completeFish(t *testing.T, script string, words []string) []string {
	lines := shellOut(t, "fish", "--no-config", "-c", fmt.Sprintf("source %s; complete -C 'certportal %s'", script, strings.Join(words, " ")))
	var offered []string
	for _, line := range lines {
		word, _, _ := strings.Cut(line, "\t")
		offered = append(offered, word)
	}
	return offered
}
