package main

import (
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	events := `{"Action":"build-output","ImportPath":"p","Output":"p.go:1: no\n"}
{"Action":"run","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"=== RUN   TestGood\n"}
{"Action":"output","Package":"p","Test":"TestGood","Output":"--- PASS: TestGood (0.10s)\n"}
{"Action":"pass","Package":"p","Test":"TestGood","Elapsed":0.1}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    p_test.go:3: wrong\n"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"--- FAIL: TestBad (1.20s)\n"}
{"Action":"fail","Package":"p","Test":"TestBad","Elapsed":1.2}
{"Action":"output","Package":"p","Test":"TestHangs","Output":"    p_test.go:9: last words\n"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t1.4s\n"}
{"Action":"fail","Package":"p","Elapsed":1.4}
{"Action":"output","Package":"q","Output":"PASS\n"}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.2s\n"}
{"Action":"pass","Package":"q","Elapsed":0.2}
not an event
`
	var out, times strings.Builder
	if err := report(strings.NewReader(events), &out, &times); err != nil {
		t.Fatal(err)
	}
	want := `p.go:1: no
    p_test.go:3: wrong
--- FAIL: TestBad (1.20s)
FAIL	p	1.4s
--- UNFINISHED: TestHangs
    p_test.go:9: last words
ok  	q	0.2s
not an event
`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if got, want := times.String(), "    0.10 p TestGood\n    1.20 p TestBad\n"; got != want {
		t.Errorf("times: got %q, want %q", got, want)
	}
}
