package web

import (
	"net/http"
	"strconv"

	"certportal/internal/portal"
	"certportal/web/page"
)

const (
	exchangePath = "/admin/exchange"
	exchangeFile = "certportal-exchange.ps1"
)

// showExchange is GET /admin/exchange: how to set up Exchange.
func (s adminPages) showExchange(w http.ResponseWriter, r *http.Request) error {
	p := page.AdminExchange{Layout: s.staffLayout(r)}
	if s.script != nil {
		p.Script, p.File = exchangePath+"/"+exchangeFile, exchangeFile
	}
	return s.render(w, r, http.StatusOK, p)
}

// serveExchangeScript is GET /admin/exchange/certportal-exchange.ps1. The script holds
// certificates and addresses, and no secret.
func (s adminPages) serveExchangeScript(w http.ResponseWriter, _ *http.Request) error {
	if s.script == nil {
		return portal.ErrNotFound
	}
	script, err := s.script()
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+exchangeFile+`"`)
	h.Set("Content-Length", strconv.Itoa(len(script)))
	_, _ = w.Write(script) // the client has disconnected
	return nil
}
