// SPDX-License-Identifier: Apache-2.0

// The OpenAPI document is complete, is YAML, refers only to what it has, and is made from the descriptors in use.

package api

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/tidemark-im/tidemark/wire"
)

func TestOpenAPIHasEveryMethod(t *testing.T) {
	text, err := OpenAPI("1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := yaml.UnmarshalWithOptions(text, &doc); err != nil {
		t.Fatalf("not YAML: %v", err)
	}
	paths := doc["paths"].(map[string]any)
	methods := 0
	services := wire.File_tidemark_v1_services_proto.Services()
	for i := range services.Len() {
		for j := range services.Get(i).Methods().Len() {
			method := services.Get(i).Methods().Get(j)
			path := "/" + string(services.Get(i).FullName()) + "/" + string(method.Name())
			item, found := paths[path].(map[string]any)
			if !found {
				t.Errorf("no path %s", path)
				continue
			}
			if description, _ := item["post"].(map[string]any)["description"].(string); description == "" {
				t.Errorf("%s has no description: give it a comment in services.proto", path)
			}
			methods++
		}
	}
	if methods < 28 {
		t.Errorf("only %d methods were looked at", methods)
	}
	if info := doc["info"].(map[string]any); info["version"] != "1.2.3" || doc["openapi"] != "3.1.0" {
		t.Errorf("version %v of OpenAPI %v", info["version"], doc["openapi"])
	}
	checkReferences(t, doc, doc)
}

// checkReferences reports every $ref that leads nowhere.
func checkReferences(t *testing.T, doc map[string]any, node any) {
	t.Helper()
	switch node := node.(type) {
	case map[string]any:
		if target, ok := node["$ref"].(string); ok {
			var at any = doc
			for _, step := range strings.Split(strings.TrimPrefix(target, "#/"), "/") {
				mapping, _ := at.(map[string]any)
				at = mapping[step]
			}
			if at == nil {
				t.Errorf("$ref %s leads nowhere", target)
			}
		}
		for _, child := range node {
			checkReferences(t, doc, child)
		}
	case []any:
		for _, child := range node {
			checkReferences(t, doc, child)
		}
	}
}

func TestEmbeddedDescriptorsAreCurrent(t *testing.T) {
	files, err := describedFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, generated := range []protoreflect.FileDescriptor{
		wire.File_tidemark_v1_model_proto, wire.File_tidemark_v1_frames_proto, wire.File_tidemark_v1_services_proto,
	} {
		embedded, err := files.FindFileByPath(generated.Path())
		if err != nil {
			t.Fatal(err)
		}
		want := protodesc.ToFileDescriptorProto(generated)
		got := protodesc.ToFileDescriptorProto(embedded)
		got.SourceCodeInfo = nil
		if !proto.Equal(want, got) {
			t.Errorf("%s: tidemark.binpb is out of date: run make generate", generated.Path())
		}
	}
}
