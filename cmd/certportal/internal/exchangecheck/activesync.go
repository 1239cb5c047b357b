package exchangecheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"

	"certportal/internal/portal"
)

// withoutCertificate explains the answer to a client without a certificate.
func (r *run) withoutCertificate() Finding {
	x := r.best()
	if !x.connected() && x.asked == notAsked { // the other version may have come further
		x = r.furthest()
	}
	m := r.meaning(x, false)
	f := Finding{Code: m.code, What: stepWithout, State: m.state, Tried: "OPTIONS " + activeSyncPath + " over " + x.tls(), Text: x.brief() + ": " + m.text, Mend: m.mend}
	if m.state != portal.FindingOK && lateTrap(x) && r.question().Code == "late-under-tls13" {
		f.State, f.Mend = skipped, "" // the question says it
	}
	return f
}

func (r *run) furthest() exchange {
	if r.tls13.stage > r.tls12.stage {
		return r.tls13
	}
	return r.tls12
}

// withCertificate signs in with the certificate, once for each version of TLS in which the
// server asks.
func (r *run) withCertificate(ctx context.Context, before []Finding) []Finding {
	f := Finding{Code: "not-tried", What: stepCertificate, State: skipped}
	switch {
	case !r.asks():
		f.Text = "not tried: the server asks for no certificate"
	case slices.ContainsFunc(before, func(b Finding) bool { return b.What == stepWithout && b.State == portal.FindingFailed }):
		f.Text = "not tried: the answer without a certificate is wrong already"
	case r.c.Client == nil:
		f.Text = "not tried: " + r.c.Without
	default:
		return r.signIn(ctx)
	}
	return []Finding{f}
}

func (r *run) signIn(ctx context.Context) []Finding {
	client, err := r.c.Client(ctx)
	if err == nil {
		if r.leaf = client.Certificate.Leaf; r.leaf == nil {
			r.leaf, err = x509.ParseCertificate(client.Certificate.Certificate[0])
		}
	}
	if err != nil {
		return []Finding{{
			Code: "no-test-certificate", What: stepCertificate, State: portal.FindingFailed,
			Tried: "to get a certificate to sign in with", Text: show(err.Error()),
			Mend: "certportal people show shows what the directory says of the person, and whether they may have a certificate",
		}}
	}
	versions := r.asking()
	came := make([]exchange, len(versions))
	var side sync.WaitGroup
	for i, version := range versions {
		side.Go(func() { came[i] = r.ask(ctx, r.options(version, &client.Certificate)) })
	}
	side.Wait()
	r.came = came
	return r.signedIn(came, client.About)
}

// signedIn explains what came of signing in, once where the versions of TLS agree.
func (r *run) signedIn(came []exchange, about string) []Finding {
	var findings []Finding
	for _, x := range came {
		m := r.meaning(x, true)
		if n := len(findings); n > 0 && findings[n-1].Code == m.code {
			findings[n-1].Tried += " and " + x.tls()
			continue
		}
		findings = append(findings, Finding{
			Code: m.code, What: stepCertificate, State: m.state, Text: x.brief() + ": " + m.text, Mend: m.mend,
			Tried: fmt.Sprintf("OPTIONS %s with %s over %s", activeSyncPath, about, x.tls()),
		})
	}
	return findings
}

// asking are the versions of TLS in which the server asks, the one that phones prefer
// first.
func (r *run) asking() []uint16 {
	var list []uint16
	if r.tls13.asked != notAsked {
		list = append(list, tls.VersionTLS13)
	}
	if r.tls12.asked != notAsked {
		list = append(list, tls.VersionTLS12)
	}
	return list
}

func (x exchange) version13() bool { return x.version == tls.VersionTLS13 }

func (x exchange) tls() string { return tls.VersionName(x.version) }
