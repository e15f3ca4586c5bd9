// SPDX-License-Identifier: Apache-2.0

// Hostile bytes before a session exists: tokens, key sets, key files, upgrade requests.

package gateway

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	tidemark "github.com/tidemark-im/tidemark"
)

// allocated is how many bytes fn took from memory.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// FuzzToken: only what carries the secret's own signature, as HS256, says who somebody is; twice the same.
func FuzzToken(f *testing.F) {
	a, clock := testAuth(f, nil)
	issued, _, err := a.Issue("alice", "phone", 0)
	if err != nil {
		f.Fatal(err)
	}
	now := float64(clock.now()) / 1000
	for _, claims := range []jwt.MapClaims{
		{"sub": "bob", "exp": now + 60}, {"sub": "bob", "iat": "1e400"}, {"sub": 7}, {"sub": "bob", "exp": now - 1e9}, {"sub": "bob", "nbf": 1e300},
	} {
		f.Add(sign(f, jwt.SigningMethodHS256, []byte(testSecret), claims, ""))
		f.Add(sign(f, jwt.SigningMethodHS512, []byte(testSecret), claims, "kid"))
	}
	f.Add(issued)
	f.Add(strings.Replace(issued, ".", "..", 1))
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"sub": "alice"}, ""))
	f.Fuzz(func(t *testing.T, token string) {
		id, err := a.Verify(token)
		again, errAgain := a.Verify(token)
		if !reflect.DeepEqual(id, again) || (err == nil) != (errAgain == nil) {
			t.Fatalf("first %+v, %v; then %+v, %v", id, err, again, errAgain)
		}
		if err != nil {
			if reasonOf(err) == "" || id.User != "" || id.Device != "" || id.App {
				t.Fatalf("refused without a reason, or with an identity: %+v, %v", id, err)
			}
			return
		}
		parts := strings.Split(token, ".")
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(strings.Join(parts[:2], ".")))
		var header struct{ Alg string }
		text, _ := base64.RawURLEncoding.DecodeString(parts[0])
		_ = json.Unmarshal(text, &header)
		if got, _ := base64.RawURLEncoding.DecodeString(parts[2]); !hmac.Equal(got, mac.Sum(nil)) || header.Alg != "HS256" || !id.User.Valid() || id.App {
			t.Fatalf("%q makes %+v", token, id)
		}
	})
}

// FuzzIssuedAt: any JSON for iat is refused, or a time of at most 53 bits that is read back as it was written.
func FuzzIssuedAt(f *testing.F) {
	for _, text := range []string{"0", "-1", "1700000000.123", "1e400", `"1"`, "null", "1e-400", "NaN", "Infinity", "0x1p10"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var at issuedAt
		if json.Unmarshal(data, &at) != nil {
			return
		}
		written, err := json.Marshal(at)
		if err != nil || at > 1<<53 {
			t.Fatalf("%q became %d, %v", data, at, err)
		}
		var back issuedAt
		if err := json.Unmarshal(written, &back); err != nil || back != at && at < 1<<50 {
			t.Fatalf("%d was written as %s and read as %d, %v", at, written, back, err)
		}
	})
}

// checkKeys holds keys to what may verify a token: one algorithm each, none weak.
func checkKeys(t *testing.T, keys []publicKey) {
	t.Helper()
	for _, k := range keys {
		switch key := k.key.(type) {
		case ed25519.PublicKey:
			if k.algorithm != "EdDSA" || len(key) != ed25519.PublicKeySize {
				t.Fatalf("%+v", k)
			}
		case *rsa.PublicKey:
			if k.algorithm != "RS256" || key.N.BitLen() < rsaBitsMin || key.E < 3 {
				t.Fatalf("%+v", k)
			}
		default:
			t.Fatalf("%+v", k)
		}
	}
}

// FuzzJWKS: a set that is accepted holds usable keys, few enough, and costs memory in proportion to its bytes.
func FuzzJWKS(f *testing.F) {
	public, _, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("seed", 8)))
	if err != nil {
		f.Fatal(err)
	}
	x := base64.RawURLEncoding.EncodeToString(public)
	n := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xc5}, 256))
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"` + x + `"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"r","n":"` + n + `","e":"AQAB","alg":"RS256","use":"sig"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"` + n + `","e":"AAAAAAAAAAEAAQ"},{"kty":"oct","k":"c2VjcmV0"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var keys []publicKey
		var err error
		if bytes := allocated(func() { keys, err = parseJWKS(data) }); bytes > 1<<20+256*uint64(len(data)) {
			t.Fatalf("%d bytes take %d", len(data), bytes)
		}
		if err == nil && (len(keys) == 0 || len(keys) > jwksKeysMax) {
			t.Fatalf("%d keys", len(keys))
		}
		checkKeys(t, keys)
	})
}

// FuzzPublicKeys: a key file that is accepted says the same after its keys were written and read again.
func FuzzPublicKeys(f *testing.F) {
	public, _, err := ed25519.GenerateKey(strings.NewReader(strings.Repeat("seed", 8)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pemOf(f, public))
	f.Add(append(pemOf(f, public), "and more"...))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parsePublicKeys(data)
		if err != nil {
			return
		}
		checkKeys(t, keys)
		var written []byte
		for _, k := range keys {
			written = append(written, pemOf(t, k.key)...)
		}
		if again, err := parsePublicKeys(written); err != nil || !reflect.DeepEqual(again, keys) {
			t.Fatalf("%+v became %+v, %v", keys, again, err)
		}
	})
}

func pemOf(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// FuzzUpgrade: no request head gets past admission without a right to, and a refusal is one that HTTP knows. The client's
// address is that of the connection, or one that a believed proxy names.
func FuzzUpgrade(f *testing.F) {
	a, _ := testAuth(f, nil)
	issued, _, err := a.Issue("alice", "phone", 0)
	if err != nil {
		f.Fatal(err)
	}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	w, err := NewWebSocket(Config{Auth: a, Proxies: proxies, Origins: []string{"https://app.example"}, HandshakesPerSecond: 1e9})
	if err != nil {
		f.Fatal(err)
	}
	head := "GET /v1/ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	f.Add([]byte(head + "Sec-WebSocket-Protocol: tidemark.v1.json\r\n\r\n"))
	f.Add([]byte(head + "Sec-WebSocket-Protocol: x, tidemark.v1.proto\r\nAuthorization: Bearer " + issued + "\r\n\r\n"))
	f.Add([]byte(head + "Origin: https://evil.example\r\nX-Forwarded-For: 1.2.3.4, 10.1.1.1,,\r\n\r\n"))
	f.Add([]byte("POST / HTTP/1.0\r\nAuthorization: Bearer\r\nOrigin: ://\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		r.RemoteAddr = "10.0.0.1:5"
		address := w.addressOf(r)
		if !address.IsValid() {
			t.Fatalf("no address of a connection that has one: %v", r.Header)
		}
		if direct := ClientAddress("192.0.2.1:5", r.Header, proxies); direct != netip.MustParseAddr("192.0.2.1") {
			t.Fatalf("%v is believed of a stranger: %v", direct, r.Header)
		}
		identity, _, refusal := w.admit(r, address)
		if refusal == nil {
			if _, ok := offered(r.Header.Values("Sec-WebSocket-Protocol")); !ok {
				t.Fatalf("admitted without a subprotocol: %v", r.Header)
			}
			if identity != nil && (identity.App || identity.User != "alice") {
				t.Fatalf("admitted as %+v: %v", identity, r.Header)
			}
			if origin := r.Header.Get("Origin"); origin != "" && !w.originAllowed(r) {
				t.Fatalf("admitted from %q", origin)
			}
			return
		}
		answer := httptest.NewRecorder()
		w.refuse(answer, r, refusal)
		if answer.Code < 400 || answer.Code >= 500 {
			t.Fatalf("refused with %d: %v", answer.Code, refusal)
		}
	})
}

// FuzzFromRequest: no header makes an app or a user out of one who has no key and no token.
func FuzzFromRequest(f *testing.F) {
	a, _ := testAuth(f, nil)
	f.Add("Bearer "+testAdmin, "alice")
	f.Add("bearer  x.y.z", "")
	f.Add("Basic YTpi", "\x00")
	f.Fuzz(func(t *testing.T, authorization, user string) {
		r := &http.Request{Header: http.Header{"Authorization": {authorization}, UserHeader: {user}}}
		id, err := a.FromRequest(r)
		if err != nil {
			if reasonOf(err) == "" || len(err.Error()) > 1000 {
				t.Fatalf("refused without a reason, or at length: %v", err)
			}
			return
		}
		if _, key, _ := strings.Cut(authorization, " "); !id.App || strings.TrimSpace(key) != testAdmin || id.User != "" && !id.User.Valid() || id.User == tidemark.SystemUser {
			t.Fatalf("%q, %q makes %+v", authorization, user, id)
		}
	})
}
