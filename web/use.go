package web

import (
	"net/http"
	"time"

	"certportal/internal/admin"
	"certportal/internal/enroll"
	"certportal/web/page"
)

// useRow is how a certificate is used that was delivered at a moment.
func useRow(u enroll.Use, delivered time.Time) page.Use {
	return page.Use{
		Delivered: delivered, Downloads: u.Downloads, LastDownload: u.LastDownload,
		Tested: u.At, Verdict: string(u.Verdict), Asked: u.Asked,
	}
}

// story is the use of a certificate, and the last refusal to its person.
func (s adminPages) story(r *http.Request, c admin.Certificate, delivered time.Time) (page.Use, page.Refused, error) {
	u, err := s.registrar.Use(r.Context(), c.Serial)
	if err != nil {
		return page.Use{}, page.Refused{}, err
	}
	last, err := s.admin.LastRefusal(r.Context(), actorOf(r), c.Person)
	return useRow(u, delivered), page.Refused{At: last.At, What: string(last.Action), Why: last.Detail["reason"]}, err
}
