// Command testreport reads the events of "go test -json" and prints what "go test"
// prints without -v: a line per package, and the output of what failed. It appends
// one line per test with its seconds to a file, from which scripts/test prints the
// slowest.
//
//	go test -json ./... | testreport TIMES
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is an event of test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of a build event
	Test       string
	Output     string
	Elapsed    float64
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: testreport TIMES")
		os.Exit(2)
	}
	times, err := os.OpenFile(os.Args[1], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		err = report(os.Stdin, os.Stdout, times)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

// report copies what matters of the events to out, and the seconds of tests to
// times. The output of a test is kept until it is known whether the test fails;
// tests that are unfinished when their package ends are printed too.
func report(in io.Reader, out, times io.Writer) error {
	kept := make(map[[2]string]*strings.Builder) // by package and test
	events := bufio.NewReader(in)
	for {
		line, err := events.ReadString('\n')
		if line != "" {
			handle(line, kept, out, times)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading events: %w", err)
		}
	}
}

func handle(line string, kept map[[2]string]*strings.Builder, out, times io.Writer) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil {
		fmt.Fprint(out, line) // go test's own words, outside of events
		return
	}
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(out, e.Output)
	case "output":
		keep(kept, key, e, out)
	case "pass", "skip", "fail":
		if e.Test != "" {
			fmt.Fprintf(times, "%8.2f %s %s\n", e.Elapsed, e.Package, e.Test)
		}
		end(kept, key, e.Action, out)
	}
}

// keep holds the output of a test back and prints that of a package at once, but
// for the line that says that all passed: the next one says so with the time.
func keep(kept map[[2]string]*strings.Builder, key [2]string, e event, out io.Writer) {
	if e.Test == "" {
		if e.Output != "PASS\n" {
			fmt.Fprint(out, e.Output)
		}
		return
	}
	if kept[key] == nil {
		kept[key] = new(strings.Builder)
	}
	if !strings.HasPrefix(e.Output, "=== ") {
		kept[key].WriteString(e.Output)
	}
}

func end(kept map[[2]string]*strings.Builder, key [2]string, action string, out io.Writer) {
	if key[1] != "" {
		if text := kept[key]; text != nil && action == "fail" {
			fmt.Fprint(out, text)
		}
		delete(kept, key)
		return
	}
	for other, text := range kept {
		if other[0] == key[0] {
			fmt.Fprintf(out, "--- UNFINISHED: %s\n%s", other[1], text)
			delete(kept, other)
		}
	}
}
