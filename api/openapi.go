// SPDX-License-Identifier: Apache-2.0

// The OpenAPI document: made from the protobuf descriptors and their comments, so that it cannot say anything else.

package api

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	tidemark "github.com/tidemark-im/tidemark"
)

// The descriptors with comments, which generated Go code leaves out. `make generate` writes them.
//
//go:embed tidemark.binpb
var descriptorSet []byte

// object is a YAML mapping that keeps its order.
type object = yaml.MapSlice

// OpenAPI is the OpenAPI 3.1 document of the services, as YAML. version is that of the server.
func OpenAPI(version string) ([]byte, error) {
	files, err := describedFiles()
	if err != nil {
		return nil, fmt.Errorf("api: descriptors: %w", err)
	}
	doc := document{schemas: map[protoreflect.FullName]any{}}
	var services []protoreflect.ServiceDescriptor
	files.RangeFilesByPackage("tidemark.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			services = append(services, file.Services().Get(i))
		}
		return true
	})
	for _, service := range services {
		doc.addService(service)
	}
	text, err := yaml.MarshalWithOptions(doc.assemble(version), yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
	if err != nil {
		return nil, fmt.Errorf("api: openapi: %w", err)
	}
	return text, nil
}

// describedFiles are the embedded descriptors.
func describedFiles() (*protoregistry.Files, error) {
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(descriptorSet, &set); err != nil {
		return nil, err
	}
	return protodesc.NewFiles(&set)
}

// document gathers what the services need.
type document struct {
	tags    []object
	paths   object
	order   []protoreflect.FullName
	schemas map[protoreflect.FullName]any
}

// addService adds a service's methods, and the messages they need.
func (d *document) addService(service protoreflect.ServiceDescriptor) {
	d.tags = append(d.tags, object{{Key: "name", Value: string(service.Name())}, {Key: "description", Value: commentOf(service)}})
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		comment := commentOf(method)
		summary, _, _ := strings.Cut(comment, ".")
		path := fmt.Sprintf("/%s/%s", service.FullName(), method.Name())
		d.paths = append(d.paths, yaml.MapItem{Key: path, Value: object{{Key: "post", Value: object{
			{Key: "operationId", Value: fmt.Sprintf("%s_%s", service.Name(), method.Name())},
			{Key: "tags", Value: []string{string(service.Name())}},
			{Key: "summary", Value: summary},
			{Key: "description", Value: comment},
			{Key: "parameters", Value: []object{reference("parameters", "TidemarkUser")}},
			{Key: "requestBody", Value: object{{Key: "required", Value: true}, {Key: "content", Value: jsonContent(d.message(method.Input()))}}},
			{Key: "responses", Value: object{
				{Key: "200", Value: object{{Key: "description", Value: "Done."}, {Key: "content", Value: jsonContent(d.message(method.Output()))}}},
				{Key: "4XX", Value: reference("responses", "Refused")},
				{Key: "5XX", Value: reference("responses", "Refused")},
			}},
		}}}})
	}
}

// message is a reference to a message's schema, which is added if it is new.
func (d *document) message(message protoreflect.MessageDescriptor) object {
	name := message.FullName()
	if _, known := d.schemas[name]; !known {
		d.schemas[name] = nil // breaks cycles
		d.order = append(d.order, name)
		d.schemas[name] = d.messageSchema(message)
	}
	return reference("schemas", string(message.Name()))
}

// messageSchema describes a message.
func (d *document) messageSchema(message protoreflect.MessageDescriptor) object {
	var properties object
	description := commentOf(message)
	for i := range message.Oneofs().Len() {
		oneof := message.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		var names []string
		for j := range oneof.Fields().Len() {
			names = append(names, oneof.Fields().Get(j).JSONName())
		}
		description = strings.TrimSpace(description + "\n\nAt most one of: " + strings.Join(names, ", ") + ".")
	}
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		if field.FullName() == "tidemark.v1.Event.body" {
			continue // binary only; JSON has the readable body under this name
		}
		schema := d.fieldSchema(field)
		if comment := commentOf(field); comment != "" {
			schema = append(schema, yaml.MapItem{Key: "description", Value: comment}) // beside $ref: allowed since OpenAPI 3.1
		}
		properties = append(properties, yaml.MapItem{Key: field.JSONName(), Value: schema})
	}
	schema := object{{Key: "type", Value: "object"}}
	if description != "" {
		schema = append(schema, yaml.MapItem{Key: "description", Value: description})
	}
	if len(properties) > 0 {
		schema = append(schema, yaml.MapItem{Key: "properties", Value: properties})
	}
	return append(schema, yaml.MapItem{Key: "additionalProperties", Value: false})
}

// fieldSchema describes a field's JSON form.
func (d *document) fieldSchema(field protoreflect.FieldDescriptor) object {
	switch {
	case field.IsMap():
		return object{{Key: "type", Value: "object"}, {Key: "additionalProperties", Value: d.valueSchema(field.MapValue())}}
	case field.IsList():
		return object{{Key: "type", Value: "array"}, {Key: "items", Value: d.valueSchema(field)}}
	}
	return d.valueSchema(field)
}

// valueSchema describes the JSON form of one value of a field.
func (d *document) valueSchema(field protoreflect.FieldDescriptor) object {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return d.message(field.Message())
	case protoreflect.EnumKind:
		return d.enum(field.Enum())
	case protoreflect.BoolKind:
		return object{{Key: "type", Value: "boolean"}}
	case protoreflect.StringKind:
		return object{{Key: "type", Value: "string"}}
	case protoreflect.BytesKind:
		return object{{Key: "type", Value: "string"}, {Key: "contentEncoding", Value: "base64"}}
	case protoreflect.Uint64Kind:
		return object{{Key: "type", Value: []string{"string", "integer"}}, {Key: "format", Value: "uint64"}, {Key: "pattern", Value: "^[0-9]+$"}}
	case protoreflect.Uint32Kind:
		return object{{Key: "type", Value: "integer"}, {Key: "format", Value: "uint32"}, {Key: "minimum", Value: 0}}
	}
	panic(fmt.Sprintf("api: openapi: field %s is of kind %s, which has no schema yet", field.FullName(), field.Kind()))
}

// enum is a reference to an enum's schema, which is added if it is new.
func (d *document) enum(enum protoreflect.EnumDescriptor) object {
	name := enum.FullName()
	if _, known := d.schemas[name]; !known {
		var values []string
		lines := []string{commentOf(enum)}
		for i := range enum.Values().Len() {
			value := enum.Values().Get(i)
			values = append(values, string(value.Name()))
			if comment := commentOf(value); comment != "" {
				lines = append(lines, fmt.Sprintf("- `%s`: %s", value.Name(), comment))
			}
		}
		d.order = append(d.order, name)
		d.schemas[name] = object{{Key: "type", Value: "string"}, {Key: "description", Value: strings.Join(lines, "\n")}, {Key: "enum", Value: values}}
	}
	return reference("schemas", string(enum.Name()))
}

// assemble puts the document together.
func (d *document) assemble(version string) object {
	var schemas object
	for _, name := range d.order {
		schemas = append(schemas, yaml.MapItem{Key: string(name.Name()), Value: d.schemas[name]})
	}
	schemas = append(schemas, yaml.MapItem{Key: "ConnectError", Value: errorSchema()})
	return object{
		{Key: "openapi", Value: "3.1.0"},
		{Key: "info", Value: object{
			{Key: "title", Value: "Tidemark"},
			{Key: "version", Value: version},
			{Key: "description", Value: openapiIntroduction},
			{Key: "license", Value: object{{Key: "name", Value: "Apache-2.0"}, {Key: "identifier", Value: "Apache-2.0"}}},
		}},
		{Key: "servers", Value: []object{{{Key: "url", Value: "/"}}}},
		{Key: "security", Value: []object{{{Key: "bearer", Value: []string{}}}}},
		{Key: "tags", Value: d.tags},
		{Key: "paths", Value: append(d.paths, operationPaths()...)},
		{Key: "components", Value: object{
			{Key: "securitySchemes", Value: object{{Key: "bearer", Value: object{
				{Key: "type", Value: "http"}, {Key: "scheme", Value: "bearer"},
				{Key: "description", Value: "A user's token (a JWT whose sub is the user id), or the admin key, which may do everything."},
			}}}},
			{Key: "parameters", Value: object{{Key: "TidemarkUser", Value: object{
				{Key: "name", Value: "Tidemark-User"}, {Key: "in", Value: "header"}, {Key: "required", Value: false},
				{Key: "description", Value: "With the admin key: act for this user."},
				{Key: "schema", Value: object{{Key: "type", Value: "string"}}},
			}}}},
			{Key: "responses", Value: object{{Key: "Refused", Value: object{
				{Key: "description", Value: "Refused. The message begins with the reason; header Retry-After says in seconds when to come back, where that helps."},
				{Key: "content", Value: jsonContent(reference("schemas", "ConnectError"))},
			}}}},
			{Key: "schemas", Value: schemas},
		}},
	}
}

const openapiIntroduction = `Every message is written once; every reader leaves a mark.

All methods are POST with a JSON body (Content-Type: application/json); the same paths speak Connect and gRPC.
64-bit integers are strings in answers, and may be strings or numbers in requests. A field of an unknown name is an error.
Clients that stay connected use the WebSocket at /v1/connect instead.`

// errorSchema is the JSON form of a Connect error.
func errorSchema() object {
	var codes, rows []string
	known := map[string]bool{}
	for reason := tidemark.BadToken; reason <= tidemark.Internal; reason++ {
		info := reason.Info()
		rows = append(rows, fmt.Sprintf("- `%s`: %s", info.Name, info.Code))
		if !known[info.Code] {
			known[info.Code] = true
			codes = append(codes, info.Code)
		}
	}
	text := func(description string) object {
		return object{{Key: "type", Value: "string"}, {Key: "description", Value: description}}
	}
	return object{
		{Key: "type", Value: "object"},
		{Key: "description", Value: "An error. Reasons and their codes:\n\n" + strings.Join(rows, "\n")},
		{Key: "properties", Value: object{
			{Key: "code", Value: append(text("The Connect code; others are possible where the request did not reach a method."),
				yaml.MapItem{Key: "examples", Value: codes})},
			{Key: "message", Value: text("For people: `REASON: what is wrong and what to do`.")},
			{Key: "details", Value: object{{Key: "type", Value: "array"}, {Key: "items", Value: object{
				{Key: "type", Value: "object"},
				{Key: "properties", Value: object{
					{Key: "type", Value: text("`tidemark.v1.Error`")},
					{Key: "value", Value: text("That message in protobuf binary form, base64 without padding.")},
					{Key: "debug", Value: object{{Key: "type", Value: "object"}, {Key: "description", Value: "The same, readable: code, reason, message, retryAfterMs."}}},
				}},
			}}}},
		}},
	}
}

// operationPaths are the paths that are not methods of a service.
func operationPaths() object {
	get := func(path, id, summary, contentType string, public bool, more ...yaml.MapItem) yaml.MapItem {
		responses := append(object{{Key: "200", Value: object{
			{Key: "description", Value: "Done."},
			{Key: "content", Value: object{{Key: contentType, Value: object{{Key: "schema", Value: object{{Key: "type", Value: "string"}}}}}}},
		}}}, more...)
		operation := object{{Key: "operationId", Value: id}, {Key: "tags", Value: []string{"Operation"}}, {Key: "summary", Value: summary}, {Key: "responses", Value: responses}}
		if public {
			operation = append(operation, yaml.MapItem{Key: "security", Value: []object{}})
		}
		return yaml.MapItem{Key: path, Value: object{{Key: "get", Value: operation}}}
	}
	notReady := yaml.MapItem{Key: "503", Value: object{{Key: "description", Value: "Not serving; the body says why."}}}
	return object{
		get("/healthz", "healthz", "The process is alive", "text/plain", true),
		get("/readyz", "readyz", "The server accepts writes", "text/plain", true, notReady),
		get("/metrics", "metrics", "Figures for Prometheus", "text/plain", true),
		get("/openapi.yaml", "openapi", "This document", "application/yaml", true),
	}
}

// reference is a $ref to a component.
func reference(section, name string) object {
	return object{{Key: "$ref", Value: "#/components/" + section + "/" + name}}
}

// jsonContent is the content of a JSON body.
func jsonContent(schema object) object {
	return object{{Key: "application/json", Value: object{{Key: "schema", Value: schema}}}}
}

// commentOf is what the .proto file says about a thing, above it or behind it.
func commentOf(thing protoreflect.Descriptor) string {
	location := thing.ParentFile().SourceLocations().ByDescriptor(thing)
	comment := strings.TrimSpace(location.LeadingComments)
	if comment == "" {
		comment = strings.TrimSpace(location.TrailingComments)
	}
	lines := strings.Split(comment, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return protoName.ReplaceAllStringFunc(strings.Join(lines, "\n"), jsonName)
}

// protoName matches a field's name as comments in .proto files write it.
var protoName = regexp.MustCompile(`\b[a-z]+(_[a-z]+)+\b`)

// jsonName is a field's name as JSON writes it: client_id is clientId.
func jsonName(name string) string {
	words := strings.Split(name, "_")
	for i := 1; i < len(words); i++ {
		words[i] = strings.ToUpper(words[i][:1]) + words[i][1:]
	}
	return strings.Join(words, "")
}
