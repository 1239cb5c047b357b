package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/chi/v5"

	"certportal/internal/portal"
	"certportal/web/page"
)

// assetMaxAge is a year: the address of an asset changes with its content.
const assetMaxAge = 365 * 24 * time.Hour

// publicFile is a file for all clients.
type publicFile struct {
	kind      string // media type
	data      []byte
	gzip      []byte // the same, compressed; nil for none
	modified  time.Time
	life      time.Duration // how long caches may keep it
	immutable bool
	etag      string // without quotes; empty to make it from data
}

// servePublic sends a file for all clients, other sites included, with validators for
// caches.
func servePublic(w http.ResponseWriter, r *http.Request, f publicFile) error {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	keep := "public, max-age=" + strconv.Itoa(max(0, int(f.life.Seconds())))
	if f.immutable {
		keep += ", immutable"
	}
	h.Set("Cache-Control", keep)
	if f.etag == "" {
		f.etag = contentTag(f.data)
	}
	data := f.data
	if f.gzip != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			data = f.gzip
			// Another representation, another strong tag (RFC 9110 section 8.8.3).
			f.etag += "-gzip"
			h.Set("Content-Encoding", "gzip")
			h.Set("Content-Length", strconv.Itoa(len(data)))
		}
	}
	h.Set("ETag", `"`+f.etag+`"`)
	http.ServeContent(w, r, "", f.modified, bytes.NewReader(data))
	return nil
}

// contentTag is the ETag of data, from its hash.
func contentTag(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:12])
}

// serveAsset is GET /static/{name}.
func (s publicFiles) serveAsset(w http.ResponseWriter, r *http.Request) error {
	asset, ok := s.renderer.Assets().Lookup(chi.URLParam(r, "name"))
	if !ok {
		return fmt.Errorf("finding asset: %w", portal.ErrNotFound)
	}
	return servePublic(w, r, publicFile{
		kind: asset.Type, data: asset.Data, gzip: asset.Gzip, life: assetMaxAge, immutable: true,
	})
}

// showHelp is GET /help.
func (s publicFiles) showHelp(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, r, http.StatusOK, page.Help{Layout: s.layout(r)})
}

// showNoIcon answers that there is no icon; browsers ask again after a day.
func showNoIcon(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.WriteHeader(http.StatusNoContent)
}

// showRobots keeps the portal out of search engines.
func showRobots(w http.ResponseWriter, r *http.Request) {
	_ = servePublic(w, r, publicFile{
		kind: "text/plain; charset=utf-8", data: []byte("User-agent: *\nDisallow: /\n"), life: anchorMaxAge,
	})
}

// redirectToHTTPS redirects a request by plain http to the same address on https. It
// refuses forms: their content has already been sent in the clear.
func (s publicFiles) redirectToHTTPS(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return portal.ErrNotFound
	}
	target := s.origin() + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		target += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", target)
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}
