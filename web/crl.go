package web

import (
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/ca/crl"
	"certportal/internal/deliver"
	"certportal/internal/portal"
)

// crlMaxAge bounds how long HTTP caches may keep a CRL. Clients keep it until its
// nextUpdate anyway; proxies must not delay revocations further.
const crlMaxAge = time.Hour

// crlCache holds the CRLs as they are sent, made once for each number.
type crlCache struct {
	source CRLSource
	gzip   *compressor

	mu   sync.Mutex
	made map[string]*cachedCRL
}

// cachedCRL is one CRL with its ETag, compressed on first use: a long one takes a
// second.
type cachedCRL struct {
	list crl.List
	etag string
	gzip func() []byte
}

// find returns the newest CRL of the issuer.
func (c *crlCache) find(issuer string) (*cachedCRL, bool) {
	list, ok := c.source.CRL(issuer)
	if !ok {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sent := c.made[issuer]; sent != nil && sent.list.Number == list.Number {
		return sent, true
	}
	sent := &cachedCRL{list: list, etag: contentTag(list.DER)}
	sent.gzip = sync.OnceValue(func() []byte {
		small, err := c.gzip.compress(list.DER)
		if err != nil || len(small) >= len(list.DER) {
			return nil
		}
		return small
	})
	if c.made == nil {
		c.made = map[string]*cachedCRL{}
	}
	c.made[issuer] = sent
	return sent, true
}

// serveCRL is GET /crl/{issuer}.crl (RFC 5280 section 4.2.1.13).
func (s publicFiles) serveCRL(w http.ResponseWriter, r *http.Request) error {
	sent, ok := s.crls.find(chi.URLParam(r, "issuer"))
	if !ok {
		return fmt.Errorf("finding revocation list: %w", portal.ErrNotFound)
	}
	f := publicFile{
		kind: deliver.TypeCRL, data: sent.list.DER, etag: sent.etag, modified: sent.list.ThisUpdate,
		life: min(crlMaxAge, sent.list.NextUpdate.Sub(s.now())),
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		f.gzip = sent.gzip()
	}
	return servePublic(w, r, f)
}
