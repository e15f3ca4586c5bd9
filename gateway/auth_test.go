// SPDX-License-Identifier: Apache-2.0

// Tokens and keys: who is let in, and every way of not being.

package gateway

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	tidemark "github.com/tidemark-im/tidemark"
)

const (
	testSecret = "a secret of the test, 32 bytes and more"
	testAdmin  = "the admin key of the test"
)

// clock is a clock that tests move.
type clock struct{ ms atomic.Uint64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(1_795_000_000_000)
	return c
}
func (c *clock) now() uint64 { return c.ms.Load() }
func (c *clock) advance(d time.Duration) {
	c.ms.Add(uint64(d.Milliseconds()))
}

func testAuth(t testing.TB, change func(*AuthConfig)) (*Auth, *clock) {
	t.Helper()
	time := newClock()
	c := AuthConfig{AdminKey: testAdmin, HS256Secret: testSecret, NowMs: time.now}
	if change != nil {
		change(&c)
	}
	a, err := NewAuth(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, time
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func reasonOf(err error) string {
	var e *tidemark.Error
	if errors.As(err, &e) {
		return e.Reason.String()
	}
	return fmt.Sprint(err)
}

func wantRefusal(t *testing.T, err error, reason tidemark.Reason, text string) {
	t.Helper()
	if reasonOf(err) != reason.String() || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, reason, text)
	}
}

func TestIssueAndVerify(t *testing.T) {
	a, clock := testAuth(t, nil)
	token, expires, err := a.Issue("alice", "phone", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	id, err := a.Verify(token)
	if err != nil || id != (Identity{User: "alice", Device: "phone", ExpiresMs: expires, IssuedMs: clock.now()}) {
		t.Fatalf("got %+v, %v", id, err)
	}
	if err := a.Admit(id, "phone"); err != nil {
		t.Error(err)
	}
	wantRefusal(t, a.Admit(id, "laptop"), tidemark.BadToken, "phone")
	if a.Admit(Identity{User: "alice"}, "laptop") != nil {
		t.Error("an unbound token is for any device")
	}
	clock.advance(time.Hour - time.Second)
	if _, err := a.Verify(token); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	clock.advance(time.Second)
	id, err = a.Verify(token) // remembered, and expired all the same
	wantRefusal(t, err, tidemark.BadToken, "expired")
	if id.ExpiresMs != expires || id.User != "" {
		t.Errorf("got %+v", id)
	}
	if _, expires, err := a.Issue("bob", "", 0); err != nil || expires-clock.now() != uint64(tokenLifetime.Milliseconds()) {
		t.Errorf("the default lifetime is %d ms, %v", expires-clock.now(), err)
	}
}

func TestIssueRefuses(t *testing.T) {
	a, _ := testAuth(t, nil)
	for _, c := range []struct {
		user   tidemark.UserID
		device tidemark.DeviceID
		ttl    time.Duration
	}{{"", "", 0}, {"a b", "", 0}, {"system", "", 0}, {"alice", "a/b", 0}, {"alice", "", -1}, {"alice", "", 100 * 365 * 24 * time.Hour}} {
		if _, _, err := a.Issue(c.user, c.device, c.ttl); reasonOf(err) != "BAD_ARGUMENT" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestVerifyRefuses(t *testing.T) {
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, _ := x509.MarshalPKIXPublicKey(public)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	a, clock := testAuth(t, func(c *AuthConfig) { c.PublicKeys = publicPEM })
	soon := clock.now()/1000 + 60
	alice := jwt.MapClaims{"sub": "alice", "exp": soon}
	good := sign(t, jwt.SigningMethodHS256, []byte(testSecret), alice, "")
	head, body, signature := cut3(good)
	header := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	elliptic256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)

	cases := []struct{ name, token, text string }{
		{"none at all", "", "no token"},
		{"not a token", "hello", "not a JSON Web Token"},
		{"two parts", head + "." + body, "not a JSON Web Token"},
		{"four parts", good + ".x", "not a JSON Web Token"},
		{"alg none", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, alice, ""), ""},
		{"alg none with a signature", header(`{"alg":"none"}`) + "." + body + "." + signature, ""},
		{"alg NONE", header(`{"alg":"NONE"}`) + "." + body + ".", ""},
		{"no alg", header(`{}`) + "." + body + "." + signature, ""},
		{"another secret", sign(t, jwt.SigningMethodHS256, []byte("another secret of thirty-two bytes.."), alice, ""), "signature"},
		{"an empty secret", sign(t, jwt.SigningMethodHS256, []byte(""), alice, ""), "signature"},
		{"the public key as a secret", sign(t, jwt.SigningMethodHS256, publicPEM, alice, ""), "signature"},
		{"the public key's bytes as a secret", sign(t, jwt.SigningMethodHS256, []byte(public), alice, ""), "signature"},
		{"our secret, a longer hash", sign(t, jwt.SigningMethodHS512, []byte(testSecret), alice, ""), ""},
		{"a key that is not configured", sign(t, jwt.SigningMethodRS256, weak, alice, ""), ""},
		{"an algorithm that is not ours", sign(t, jwt.SigningMethodES256, elliptic256, alice, ""), ""},
		{"a changed body", head + "." + header(`{"sub":"bob"}`) + "." + signature, "signature"},
		{"a changed signature", head + "." + body + "." + strings.Repeat("A", len(signature)), "signature"},
		{"a signature of another algorithm", header(`{"alg":"EdDSA"}`) + "." + body + "." + signature, "signature"},
		{"padding", good + "=", ""},
		{"expired", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "exp": clock.now()/1000 - 1}, ""), "expired"},
		{"expired at this moment", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "exp": clock.now() / 1000}, ""), "expired"},
		{"expired, of a public key", sign(t, jwt.SigningMethodEdDSA, private, jwt.MapClaims{"sub": "alice", "exp": 1}, ""), "expired"},
		{"exp that is no number", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "exp": "never"}, ""), ""},
		{"not yet valid", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "nbf": soon}, ""), "not valid yet"},
		{"no sub", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"exp": soon}, ""), "sub"},
		{"a sub outside the alphabet", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "a~b"}, ""), "sub"},
		{"a sub too long", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": strings.Repeat("a", 65)}, ""), "sub"},
		{"the reserved user", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "system"}, ""), "sub"},
		{"a dev outside the alphabet", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice", "dev": "a b"}, ""), "dev"},
		{"too long", strings.Repeat("a", tokenBytesMax+1), "longer"},
		{"the admin key", testAdmin, "not a JSON Web Token"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			id, err := a.Verify(c.token)
			wantRefusal(t, err, tidemark.BadToken, c.text)
			if id.User != "" || id.App {
				t.Errorf("an identity all the same: %+v", id)
			}
		})
	}
	for name, token := range map[string]string{
		"our own secret": good,
		"a public key":   sign(t, jwt.SigningMethodEdDSA, private, alice, "a kid that PEM does not have"),
		"without end":    sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "alice"}, ""),
	} {
		if id, err := a.Verify(token); err != nil || id.User != "alice" {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
}

func cut3(token string) (a, b, c string) {
	parts := strings.Split(token, ".")
	return parts[0], parts[1], parts[2]
}

func TestIssuerAndAudience(t *testing.T) {
	a, _ := testAuth(t, func(c *AuthConfig) { c.Issuer, c.Audience = "app", "chat" })
	own, _, err := a.Issue("alice", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(own); err != nil {
		t.Errorf("our own token: %v", err)
	}
	key := []byte(testSecret)
	_, err = a.Verify(sign(t, jwt.SigningMethodHS256, key, jwt.MapClaims{"sub": "alice", "aud": "chat"}, ""))
	wantRefusal(t, err, tidemark.BadToken, "iss")
	_, err = a.Verify(sign(t, jwt.SigningMethodHS256, key, jwt.MapClaims{"sub": "alice", "iss": "app", "aud": "mail"}, ""))
	wantRefusal(t, err, tidemark.BadToken, "aud")
}

func TestKeyFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	a, err := NewAuth(AuthConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	key, created := a.AdminKey()
	if !created || len(key) < 40 {
		t.Errorf("admin key %q, created %v", key, created)
	}
	for _, name := range []string{"auth.key", "admin.key"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left over: %v", entries)
	}
	token, _, _ := a.Issue("alice", "", 0)
	b, err := NewAuth(AuthConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if again, created := b.AdminKey(); again != key || created {
		t.Errorf("the second start has %q, created %v", again, created)
	}
	if _, err := b.Verify(token); err != nil {
		t.Errorf("a token of the first start: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "admin.key"), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := NewAuth(AuthConfig{Dir: dir}); err == nil || !strings.Contains(err.Error(), "admin.key") {
		t.Errorf("a short key: %v", err)
	}
	for name, c := range map[string]AuthConfig{
		"no place":           {},
		"a short secret":     {AdminKey: testAdmin, HS256Secret: "short"},
		"a short admin key":  {AdminKey: "short", HS256Secret: testSecret},
		"no PEM":             {AdminKey: testAdmin, HS256Secret: testSecret, PublicKeys: []byte("hello")},
		"a private key":      {AdminKey: testAdmin, HS256Secret: testSecret, PublicKeys: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})},
		"JWKS without TLS":   {AdminKey: testAdmin, HS256Secret: testSecret, JWKSURL: "http://keys.example/jwks"},
		"JWKS of a file":     {AdminKey: testAdmin, HS256Secret: testSecret, JWKSURL: "file:///etc/jwks"},
		"a broken PEM block": {AdminKey: testAdmin, HS256Secret: testSecret, PublicKeys: pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1}})},
	} {
		if _, err := NewAuth(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTwoStartsMakeOneKey(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		all.Go(func() {
			a, err := NewAuth(AuthConfig{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			keys[i], _ = a.AdminKey()
		})
	}
	all.Wait()
	for _, k := range keys {
		if k != keys[0] || k == "" {
			t.Fatalf("different keys: %q", keys)
		}
	}
}

func TestFromRequest(t *testing.T) {
	a, _ := testAuth(t, nil)
	token, _, _ := a.Issue("alice", "", 0)
	cases := []struct {
		name, authorization, user string
		want                      Identity
		reason                    string
	}{
		{"nothing", "", "", Identity{}, "BAD_TOKEN"},
		{"another scheme", "Basic " + token, "", Identity{}, "BAD_TOKEN"},
		{"no token", "Bearer ", "", Identity{}, "BAD_TOKEN"},
		{"a user", "Bearer " + token, "", Identity{User: "alice"}, ""},
		{"the scheme in small letters", "bearer  " + token, "", Identity{User: "alice"}, ""},
		{"a user who names herself", "Bearer " + token, "alice", Identity{User: "alice"}, ""},
		{"a user who names another", "Bearer " + token, "bob", Identity{}, "NOT_ALLOWED"},
		{"the app", "Bearer " + testAdmin, "", Identity{App: true}, ""},
		{"the app for a user", "Bearer " + testAdmin, "bob", Identity{App: true, User: "bob"}, ""},
		{"the app for nobody possible", "Bearer " + testAdmin, "a b", Identity{}, "BAD_ARGUMENT"},
		{"the app for the reserved user", "Bearer " + testAdmin, "system", Identity{}, "BAD_ARGUMENT"},
		{"the beginning of the admin key", "Bearer " + testAdmin[:20], "", Identity{}, "BAD_TOKEN"},
		{"the admin key and more", "Bearer " + testAdmin + "x", "", Identity{}, "BAD_TOKEN"},
	}
	for _, c := range cases {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Authorization", c.authorization)
		if c.user != "" {
			r.Header.Set(UserHeader, c.user)
		}
		got, err := a.FromRequest(r)
		got.ExpiresMs, got.IssuedMs = 0, 0
		if c.reason == "" && (err != nil || got != c.want) || c.reason != "" && reasonOf(err) != c.reason {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// jwksServer serves a key set that tests change.
type jwksServer struct {
	*httptest.Server
	mu      sync.Mutex
	keys    []map[string]string
	body    string // in place of the keys
	fetches int
}

func newJWKS(t *testing.T) *jwksServer {
	s := &jwksServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.fetches++
		if s.body != "" {
			_, _ = w.Write([]byte(s.body))
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": s.keys})
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *jwksServer) set(body string, keys ...map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.keys = body, keys
}

func (s *jwksServer) fetched() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

func TestJWKS(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	public, private, _ := ed25519.GenerateKey(rand.Reader)
	public2, private2, _ := ed25519.GenerateKey(rand.Reader)
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	ed := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": b64(public)}
	ed2 := map[string]string{"kty": "OKP", "crv": "Ed25519", "kid": "two", "x": b64(public2), "alg": "EdDSA", "use": "sig"}
	rs := map[string]string{"kty": "RSA", "kid": "three", "n": b64(rsaKey.N.Bytes()), "e": b64(big.NewInt(int64(rsaKey.E)).Bytes())}

	server := newJWKS(t)
	server.set("", ed, rs, map[string]string{"kty": "EC", "kid": "other"})
	client := server.Client()
	a, clock := testAuth(t, func(c *AuthConfig) { c.JWKSURL, c.HTTPClient = server.URL, client })
	t.Cleanup(client.CloseIdleConnections)
	n := 0
	token := func(method jwt.SigningMethod, key any, kid string) string {
		n++ // a new token each time: none is remembered
		return sign(t, method, key, jwt.MapClaims{"sub": "alice", "jti": fmt.Sprint(n)}, kid)
	}
	verifies := func(name, token string, want bool, fetches int) {
		t.Helper()
		if _, err := a.Verify(token); (err == nil) != want || err != nil && reasonOf(err) != "BAD_TOKEN" {
			t.Errorf("%s: %v", name, err)
		}
		if got := server.fetched(); got != fetches {
			t.Errorf("%s: %d fetches, want %d", name, got, fetches)
		}
	}
	verifies("our own key needs no fetch", token(jwt.SigningMethodHS256, []byte(testSecret), ""), true, 0)
	verifies("Ed25519", token(jwt.SigningMethodEdDSA, private, "one"), true, 1)
	verifies("RSA", token(jwt.SigningMethodRS256, rsaKey, "three"), true, 1)
	verifies("no kid", token(jwt.SigningMethodRS256, rsaKey, ""), true, 1)
	verifies("the kid of another key", token(jwt.SigningMethodEdDSA, private, "three"), false, 1)
	verifies("an unknown kid, soon after a fetch", token(jwt.SigningMethodEdDSA, private2, "two"), false, 1)
	clock.advance(jwksPauseMs * time.Millisecond)
	server.set("", ed2)
	verifies("a new kid", token(jwt.SigningMethodEdDSA, private2, "two"), true, 2)
	verifies("a removed key", token(jwt.SigningMethodEdDSA, private, "one"), false, 2)
	clock.advance(jwksOldMs * time.Millisecond)
	server.set("oops")
	verifies("an old set stays in use while the URL fails", token(jwt.SigningMethodEdDSA, private2, "two"), true, 3)
	verifies("and is not asked again at once", token(jwt.SigningMethodEdDSA, private2, "two"), true, 3)
	clock.advance(jwksPauseMs * time.Millisecond)
	server.set(strings.Repeat(" ", jwksBytesMax+1))
	verifies("nor replaced by one without end", token(jwt.SigningMethodEdDSA, private2, "two"), true, 4)
}

// TestRememberedTokens: a key that is removed stops working within minutes although its tokens were remembered.
func TestRememberedTokens(t *testing.T) {
	a, clock := testAuth(t, nil)
	token, _, _ := a.Issue("alice", "", 0)
	if _, err := a.Verify(token); err != nil {
		t.Fatal(err)
	}
	a.secret = []byte("another secret")
	if _, err := a.Verify(token); err != nil {
		t.Errorf("not remembered: %v", err)
	}
	clock.advance(verifiedFor)
	_, err := a.Verify(token)
	wantRefusal(t, err, tidemark.BadToken, "signature")
}

func BenchmarkVerify(b *testing.B) {
	a, _ := testAuth(b, nil)
	token, _, _ := a.Issue("alice", "", 0)
	for _, remembered := range []bool{true, false} {
		b.Run(fmt.Sprintf("remembered=%v", remembered), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !remembered {
					a.verified.Purge()
				}
				if _, err := a.Verify(token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
