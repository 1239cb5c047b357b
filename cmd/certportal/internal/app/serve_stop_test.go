package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// TestF15_JournalHasWhatTheLastRequestsDid revokes a certificate after the signal to stop,
// while a request is under way that never ends and is cut off. A database that is lost then is
// restored with the journal. It costs the time that such a request has. Background work that
// hangs is named in the log and does not hold up the end (F20).
func TestF15_JournalHasWhatTheLastRequestsDid(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := testkit.Must(open(t, data))(t)
	serial := issued(t, p)
	log := testkit.NewLog(t)
	p.log = log.Logger()
	p.loops.run("work that hangs", func() { <-t.Context().Done() })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(ctx) }()

	conn := testkit.Must(tls.Dial("tcp", p.https.Addr().String(), &tls.Config{InsecureSkipVerify: true}))(t)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: 7\r\nExpect: 100-continue\r\n\r\n", p.Public.HTTPS.Host)
	answer := bufio.NewReader(conn)
	testkit.Contains(t, "the request is under way", testkit.Must(answer.ReadString('\n'))(t), "100 Continue")
	stop()
	revokedNow(t, p, serial)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	testkit.Contains(t, "log", log.String(), `work="work that hangs"`)
	journal := string(testkit.Must(os.ReadFile(filepath.Join(data, "revocation.journal")))(t))
	for line := range strings.Lines(journal) {
		if strings.Contains(line, serial.String()) && strings.Contains(line, `"revoked"`) {
			return
		}
	}
	t.Errorf("the journal lacks the revocation of %s:\n%s", serial, journal)
}

// What holds a lock that the end needs does not hold up the end either.
func TestF20_EndsWithoutWhatHangs(t *testing.T) {
	t.Parallel()
	var l loops
	hang := make(chan struct{})
	l.run("b", func() { <-hang })
	l.run("a", func() { <-hang })
	l.run("ended", func() {})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	testkit.Eventually(t, "the names are those that hang", func() bool { return fmt.Sprint(l.wait(over)) == "[a b]" })
	testkit.Equal(t, "work that hangs", endsWithin(time.Millisecond, func() { <-hang }), false)
	close(hang)
	testkit.Equal(t, "afterwards", len(l.wait(t.Context())), 0)
}

// hangingListener does not close while it hangs.
type hangingListener struct {
	net.Listener
	hang chan struct{}
}

func (l hangingListener) Close() error {
	<-l.hang
	return l.Listener.Close()
}

// TestF20_ClosesBesideWhatHangs closes all but the part that hangs, and keeps the lock of the data
// folder, in which that part may still write. The longest times together leave a second of 15.
func TestF20_ClosesBesideWhatHangs(t *testing.T) {
	t.Parallel()
	testkit.Equal(t, "the longest stop", stopWithin <= 14*time.Second, true)
	p := testkit.Must(open(t, t.TempDir()))(t)
	log := testkit.NewLog(t)
	p.log = log.Logger()
	hang := make(chan struct{})
	p.https = hangingListener{p.https, hang}
	c := p.beginClosing()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	testkit.Eventually(t, "the rest is closed", func() bool { return fmt.Sprint(c.parts.wait(over)) == "[ports]" })
	testkit.Contains(t, "the database", fmt.Sprint(p.DB.CheckWritable(t.Context())), "closed")
	err := p.awaitClosing(over, c)
	testkit.Contains(t, "the error", fmt.Sprint(err), "closing did not end in time: ports")
	testkit.Contains(t, "the log", log.String(), "part=ports")
	if _, err := LockData(p.Settings); err == nil {
		t.Error("the data folder is unlocked while a part hangs")
	}
	close(hang)
	testkit.NoError(t, p.awaitClosing(t.Context(), c))
	testkit.NoError(t, testkit.Must(LockData(p.Settings))(t).Close())
}
