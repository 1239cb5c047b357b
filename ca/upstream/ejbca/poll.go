package ejbca

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"certportal/ca/upstream"
	"certportal/ca/upstream/wire"
)

// Poll implements [upstream.CA]. EJBCA makes the certificate in this call, once the request
// was approved. When the answer to it is lost, the next call is refused: then the
// certificate is searched for.
func (c *CA) Poll(ctx context.Context, id string) (upstream.Answer, error) {
	number, username, found := strings.Cut(id, " ")
	if _, err := strconv.ParseInt(number, 10, 64); err != nil || !found {
		return upstream.Answer{}, errors.New("id is none of a request to EJBCA")
	}
	password, err := c.password(username)
	if err != nil {
		return upstream.Answer{}, fmt.Errorf("%w: %w", upstream.ErrUnsent, err)
	}
	reply, err := c.post(ctx, "/v1/certificate/"+url.PathEscape(number)+"/finalize",
		map[string]string{"response_format": "DER", "password": password})
	err = wire.OfPoll(err)
	if _, denied := errors.AsType[*upstream.Denied](err); denied {
		return c.denied(ctx, username, err)
	}
	if err != nil {
		return upstream.Answer{}, err
	}
	answer, err := parseEnrolled(reply, username)
	if answer.Pending() && err == nil {
		answer.ID = id // a known one is never replaced
	}
	return answer, err
}

// denied finds out whether a refused poll means that the certificate was fetched before.
func (c *CA) denied(ctx context.Context, username string, refusal error) (upstream.Answer, error) {
	certs, err := c.search(ctx, username)
	switch {
	case err == nil && len(certs) > 0:
		return upstream.Answer{Certificate: certs[0]}, nil
	case err == nil:
		return upstream.Answer{}, refusal
	}
	if denied, is := errors.AsType[*upstream.Denied](err); is && !denied.Credentials {
		err = errors.New(denied.Error()) // of the search, and not of the request
	}
	// %v: without the search this is no denial, but unknown.
	return upstream.Answer{}, fmt.Errorf("searching for the certificate of a refused request (%v): %w", refusal, err)
}

// Find implements [upstream.Finder].
func (c *CA) Find(ctx context.Context, r upstream.Request) ([]*x509.Certificate, error) {
	username, err := c.username(r.Number)
	if err != nil {
		return nil, err
	}
	return c.search(ctx, username)
}

type criterion struct {
	Property  string `json:"property"`
	Value     string `json:"value"`
	Operation string `json:"operation"`
}

func (c *CA) search(ctx context.Context, username string) ([]*x509.Certificate, error) {
	reply, err := c.post(ctx, "/v1/certificate/search", map[string]any{
		"max_number_of_results": 10,
		"criteria":              []criterion{{"QUERY", username, "EQUAL"}},
	})
	if denied, is := errors.AsType[*upstream.Denied](err); is && denied.Code == "HTTP 404" {
		return nil, fmt.Errorf("searching at EJBCA, which offers it in its Enterprise edition only: %w", upstream.ErrUnsupported)
	}
	if err != nil {
		return nil, err
	}
	var body struct {
		Certificates []struct {
			Certificate string `json:"certificate"`
		} `json:"certificates"`
	}
	if err := reply.JSON(&body); err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, one := range body.Certificates {
		certs, err := parseCertificates(one.Certificate)
		if err != nil {
			return nil, fmt.Errorf("reading found certificate: %w", err)
		}
		all = append(all, certs[0])
	}
	return all, nil
}

// IssuesByPoll implements [upstream.IssuesByPoll]: the certificate of an approved request is
// made by finalize.
func (c *CA) IssuesByPoll() bool { return true }
