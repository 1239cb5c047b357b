package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// benchDemo starts the demo for a benchmark.
func benchDemo(b *testing.B, env ...string) *demo {
	b.Helper()
	d := &demo{t: b, dir: b.TempDir()}
	d.args = []string{"demo", "--listen", "127.0.0.1:0", "--data", d.dir}
	d.start(env...)
	b.Cleanup(func() { d.stop(syscall.SIGTERM) })
	return d
}

// BenchmarkStart is the time from exec of serve to the first response, on an existing
// installation with RSA 3072 CA keys, and the memory in use while idle.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	makeCA(b, []string{"--data", dir})
	startServe(b, dir).stop(syscall.SIGTERM) // makes the certificate
	for b.Loop() {
		d := startServe(b, dir)
		conn, err := tls.Dial("tcp", strings.TrimPrefix(d.https, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			b.Fatal(err)
		}
		conn.Close()
		b.StopTimer()
		time.Sleep(2 * time.Second) // idle means that start-up is over
		b.ReportMetric(residentMB(b, d.cmd.Process.Pid), "MB-resident")
		d.stop(syscall.SIGTERM)
		b.StartTimer()
	}
}

// startServe runs serve on free ports until it says where it is.
func startServe(b *testing.B, dir string) *demo {
	b.Helper()
	d := &demo{t: b, dir: dir, args: []string{"serve", "--data", dir}, ready: "Root SHA-256"}
	d.start("CERTPORTAL_LISTEN=127.0.0.1:0", "CERTPORTAL_LISTEN_HTTP=127.0.0.1:0", "CERTPORTAL_CERTIFICATES_PREPARED_KEYS=0")
	return d
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

func residentMB(b *testing.B, pid int) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	kb, err := strconv.ParseFloat(string(resident.FindSubmatch(text)[1]), 64)
	if err != nil {
		b.Fatal(err)
	}
	return kb / 1024
}

// BenchmarkTenASecond enrols ten times a second with RSA 2048 keys waiting, POST
// to result page and file, and reports the latencies.
func BenchmarkTenASecond(b *testing.B) {
	const keys = 200
	d := benchDemo(b, "CERTPORTAL_CERTIFICATES_DEVICES=1000", fmt.Sprint("CERTPORTAL_CERTIFICATES_PREPARED_KEYS=", keys))
	c := d.visitor()
	d.signIn(c, d.person("employee"))
	time.Sleep(keys * 250 * time.Millisecond) // until the pool is full
	var mu sync.Mutex
	var posts, files []time.Duration
	for b.Loop() {
		var wg sync.WaitGroup
		tick := time.NewTicker(100 * time.Millisecond)
		for i := range keys {
			<-tick.C
			wg.Go(func() {
				post, file := d.timedEnrol(c, fmt.Sprint("phone-", len(posts), "-", i))
				mu.Lock()
				defer mu.Unlock()
				posts, files = append(posts, post), append(files, file)
			})
		}
		wg.Wait()
		tick.Stop()
	}
	b.ReportMetric(percentile(posts, 50), "ms-p50-post")
	b.ReportMetric(percentile(posts, 99), "ms-p99-post")
	b.ReportMetric(percentile(files, 50), "ms-p50-file")
	b.ReportMetric(percentile(files, 99), "ms-p99-file")
}

// timedEnrol sends the form, opens the result page and fetches the file.
func (d *demo) timedEnrol(c *http.Client, name string) (post, file time.Duration) {
	start := time.Now()
	resp, err := d.post(d.t.Context(), c, "/new", url.Values{"name": {name}, "platform": {"linux"}, "request": {"bench-" + name + "-0123456789"}})
	if err != nil || resp.StatusCode != http.StatusSeeOther {
		d.t.Errorf("POST /new: %v, %v", resp, err)
		return 0, 0
	}
	post = time.Since(start)
	_, page, err := d.get(d.t.Context(), c, resp.Header.Get("Location"))
	link := downloadLink.FindStringSubmatch(page)
	if err != nil || link == nil {
		d.t.Errorf("result page: %v", err)
		return post, 0
	}
	start = time.Now()
	if status, _, err := d.get(d.t.Context(), c, link[1]); err != nil || status != http.StatusOK {
		d.t.Errorf("file: status %d, %v", status, err)
	}
	return post, time.Since(start)
}

func percentile(list []time.Duration, p int) float64 {
	slices.Sort(list)
	return float64(list[min(len(list)-1, len(list)*p/100)].Microseconds()) / 1000
}
