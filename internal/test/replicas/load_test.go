package replicas

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"certportal/internal/test/testkit"
)

// signInEvery is how many certificates a person of the load fetches before a new sign-in.
const signInEvery = 10

// load lets people enrol, together as often a second as given and never more than the
// machine can, until the function that it returns is called.
func (c *cluster) load(t *testing.T, balancers []*balancer, perSecond int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	turns := make(chan struct{})
	var working sync.WaitGroup
	working.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		defer close(turns)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	})
	for _, b := range balancers {
		for n := range 2 {
			login := fmt.Sprintf("load%d.%s", n, strings.ToLower(b.name))
			if !c.added[login] {
				c.add(login)
			}
			working.Go(func() { c.worker(context.WithoutCancel(ctx), b, t, login, turns) })
		}
	}
	return func() {
		cancel()
		working.Wait()
	}
}

// worker is a person who fetches certificates.
func (c *cluster) worker(ctx context.Context, b *balancer, t *testing.T, login string, turns <-chan struct{}) {
	var phone *browser
	fetched := 0
	for range turns {
		var err error
		if phone == nil || fetched%signInEvery == 0 {
			phone = b.newBrowser(t)
			err = phone.signIn(ctx, login)
		}
		if err == nil {
			var f file
			f, err = phone.enrol(ctx, fmt.Sprint("Phone ", time.Now().UnixNano()))
			if err == nil {
				c.keep(f)
			}
		}
		fetched++
		if err == nil {
			continue
		}
		phone = nil // begins again
		if !errors.Is(err, errCounted) {
			b.watch.unusable(err)
		}
	}
}

// certificate reads a file.
func certificate(t testing.TB, name string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(testkit.Must(os.ReadFile(name))(t))
	if block == nil {
		t.Fatalf("%s holds no certificate", name)
	}
	return testkit.Must(x509.ParseCertificate(block.Bytes))(t)
}

// pool holds one certificate.
func pool(root *x509.Certificate) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return roots
}
