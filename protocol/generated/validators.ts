// Generated from io.membroker.Broker.varlink by 'npm run generate'; edit that instead.
// @ts-nocheck

import type { Validator } from '../wire/service'
import type { BrokerErrorName, BrokerMethodName } from './broker'


const GetStatusIn = validate11;
const schema12 = {"description":"The broker at a glance.","type":"object","properties":{},"additionalProperties":false};

function validate11(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate11.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate11.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate11.errors = vErrors;
return errors === 0;
}

const ListRangesIn = validate12;
const schema13 = {"type":"object","properties":{},"additionalProperties":false};

function validate12(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate12.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate12.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate12.errors = vErrors;
return errors === 0;
}

const ListAllocationsIn = validate13;
const schema14 = {"description":"Allocations the caller may see (its own, those shared with it, all for an administrator), in order of id,\nafter the given id, at most limit (default and most: 256). next is set when there are more.","type":"object","properties":{"prefix":{"type":["string","null"]},"after":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"limit":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991}},"additionalProperties":false};

function validate13(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "prefix") || (key0 === "after")) || (key0 === "limit"))){
validate13.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.prefix !== undefined){
let data0 = data.prefix;
const _errs2 = errors;
if((typeof data0 !== "string") && (data0 !== null)){
validate13.errors = [{instancePath:instancePath+"/prefix",schemaPath:"#/properties/prefix/type",keyword:"type",params:{type: schema14.properties.prefix.type}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.after !== undefined){
let data1 = data.after;
const _errs4 = errors;
if((!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))) && (data1 !== null)){
validate13.errors = [{instancePath:instancePath+"/after",schemaPath:"#/properties/after/type",keyword:"type",params:{type: schema14.properties.after.type}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate13.errors = [{instancePath:instancePath+"/after",schemaPath:"#/properties/after/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate13.errors = [{instancePath:instancePath+"/after",schemaPath:"#/properties/after/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.limit !== undefined){
let data2 = data.limit;
const _errs6 = errors;
if((!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))) && (data2 !== null)){
validate13.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/type",keyword:"type",params:{type: schema14.properties.limit.type}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate13.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate13.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
else {
validate13.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate13.errors = vErrors;
return errors === 0;
}

const GetAllocationIn = validate14;
const schema15 = {"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false};

function validate14(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate14.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(key0 === "name")){
validate14.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
if(typeof data.name !== "string"){
validate14.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
}
else {
validate14.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate14.errors = vErrors;
return errors === 0;
}

const AllocateIn = validate15;
const schema16 = {"description":"Reserve memory under a name. bytes is rounded up to the range's alignBytes. alignBytes asks for more than\nthat. Unless contiguous is set, memory may come in several extents when no single one is large enough. node asks\nfor memory of that NUMA node: ranges of other nodes, and those that know none, are left out.\nuid allocates for another owner (administrators only). The caller becomes the holder, unless uid is another's.","type":"object","properties":{"name":{"type":"string"},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"alignBytes":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"range":{"type":["string","null"]},"node":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"contiguous":{"type":["boolean","null"]},"metadata":{"type":["object","null"]},"secret":{"type":["string","null"]},"uid":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991}},"required":["name","bytes"],"additionalProperties":false};
const func2 = Object.prototype.hasOwnProperty;

function validate15(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.name === undefined) && (missing0 = "name")) || ((data.bytes === undefined) && (missing0 = "bytes"))){
validate15.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(func2.call(schema16.properties, key0))){
validate15.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate15.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bytes !== undefined){
let data1 = data.bytes;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate15.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate15.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate15.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.alignBytes !== undefined){
let data2 = data.alignBytes;
const _errs6 = errors;
if((!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))) && (data2 !== null)){
validate15.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/type",keyword:"type",params:{type: schema16.properties.alignBytes.type}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate15.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate15.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.range !== undefined){
let data3 = data.range;
const _errs8 = errors;
if((typeof data3 !== "string") && (data3 !== null)){
validate15.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: schema16.properties.range.type}}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.node !== undefined){
let data4 = data.node;
const _errs10 = errors;
if((!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))) && (data4 !== null)){
validate15.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/type",keyword:"type",params:{type: schema16.properties.node.type}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate15.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate15.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.contiguous !== undefined){
let data5 = data.contiguous;
const _errs12 = errors;
if((typeof data5 !== "boolean") && (data5 !== null)){
validate15.errors = [{instancePath:instancePath+"/contiguous",schemaPath:"#/properties/contiguous/type",keyword:"type",params:{type: schema16.properties.contiguous.type}}];
return false;
}
var valid0 = _errs12 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.metadata !== undefined){
let data6 = data.metadata;
const _errs14 = errors;
if((!(data6 && typeof data6 == "object" && !Array.isArray(data6))) && (data6 !== null)){
validate15.errors = [{instancePath:instancePath+"/metadata",schemaPath:"#/properties/metadata/type",keyword:"type",params:{type: schema16.properties.metadata.type}}];
return false;
}
var valid0 = _errs14 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data7 = data.secret;
const _errs16 = errors;
if((typeof data7 !== "string") && (data7 !== null)){
validate15.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema16.properties.secret.type}}];
return false;
}
var valid0 = _errs16 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.uid !== undefined){
let data8 = data.uid;
const _errs18 = errors;
if((!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))) && (data8 !== null)){
validate15.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/type",keyword:"type",params:{type: schema16.properties.uid.type}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate15.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate15.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs18 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate15.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate15.errors = vErrors;
return errors === 0;
}

const GrowIn = validate16;
const schema17 = {"description":"Make an allocation larger; what it holds stays where it is.","type":"object","properties":{"name":{"type":"string"},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"secret":{"type":["string","null"]}},"required":["name","bytes"],"additionalProperties":false};

function validate16(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.name === undefined) && (missing0 = "name")) || ((data.bytes === undefined) && (missing0 = "bytes"))){
validate16.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "name") || (key0 === "bytes")) || (key0 === "secret"))){
validate16.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate16.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bytes !== undefined){
let data1 = data.bytes;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate16.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate16.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate16.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data2 = data.secret;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate16.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema17.properties.secret.type}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate16.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate16.errors = vErrors;
return errors === 0;
}

const SetMetadataIn = validate17;
const schema18 = {"description":"Replace the owner's metadata; null removes it.","type":"object","properties":{"name":{"type":"string"},"metadata":{"type":["object","null"]},"secret":{"type":["string","null"]}},"required":["name"],"additionalProperties":false};

function validate17(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate17.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "name") || (key0 === "metadata")) || (key0 === "secret"))){
validate17.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate17.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.metadata !== undefined){
let data1 = data.metadata;
const _errs4 = errors;
if((!(data1 && typeof data1 == "object" && !Array.isArray(data1))) && (data1 !== null)){
validate17.errors = [{instancePath:instancePath+"/metadata",schemaPath:"#/properties/metadata/type",keyword:"type",params:{type: schema18.properties.metadata.type}}];
return false;
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data2 = data.secret;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate17.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema18.properties.secret.type}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate17.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate17.errors = vErrors;
return errors === 0;
}

const ShareIn = validate18;
const schema19 = {"description":"Let another uid map an allocation. access null ends the right; mappings already made are revoked by RevokeMapping.","type":"object","properties":{"name":{"type":"string"},"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"access":{"type":["string","null"],"enum":["read","readWrite",null]},"secret":{"type":["string","null"]}},"required":["name","uid"],"additionalProperties":false};

function validate18(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.name === undefined) && (missing0 = "name")) || ((data.uid === undefined) && (missing0 = "uid"))){
validate18.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!((((key0 === "name") || (key0 === "uid")) || (key0 === "access")) || (key0 === "secret"))){
validate18.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate18.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.uid !== undefined){
let data1 = data.uid;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate18.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate18.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate18.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.access !== undefined){
let data2 = data.access;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate18.errors = [{instancePath:instancePath+"/access",schemaPath:"#/properties/access/type",keyword:"type",params:{type: schema19.properties.access.type}}];
return false;
}
if(!(((data2 === "read") || (data2 === "readWrite")) || (data2 === null))){
validate18.errors = [{instancePath:instancePath+"/access",schemaPath:"#/properties/access/enum",keyword:"enum",params:{allowedValues: schema19.properties.access.enum}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data3 = data.secret;
const _errs8 = errors;
if((typeof data3 !== "string") && (data3 !== null)){
validate18.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema19.properties.secret.type}}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
else {
validate18.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate18.errors = vErrors;
return errors === 0;
}

const CreateMappingIn = validate19;
const schema20 = {"description":"A descriptor for part of an allocation that the caller holds or that is shared with its uid.\nDefaults: the whole allocation, readWrite. guestAddress and metadata are kept for Claim.","type":"object","properties":{"name":{"type":"string"},"offset":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"access":{"type":["string","null"],"enum":["read","readWrite",null]},"guestAddress":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"metadata":{"type":["object","null"]},"secret":{"type":["string","null"]}},"required":["name"],"additionalProperties":false};

function validate19(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate19.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((((((key0 === "name") || (key0 === "offset")) || (key0 === "length")) || (key0 === "access")) || (key0 === "guestAddress")) || (key0 === "metadata")) || (key0 === "secret"))){
validate19.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate19.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.offset !== undefined){
let data1 = data.offset;
const _errs4 = errors;
if((!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))) && (data1 !== null)){
validate19.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/type",keyword:"type",params:{type: schema20.properties.offset.type}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate19.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate19.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.length !== undefined){
let data2 = data.length;
const _errs6 = errors;
if((!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))) && (data2 !== null)){
validate19.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/type",keyword:"type",params:{type: schema20.properties.length.type}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate19.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate19.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.access !== undefined){
let data3 = data.access;
const _errs8 = errors;
if((typeof data3 !== "string") && (data3 !== null)){
validate19.errors = [{instancePath:instancePath+"/access",schemaPath:"#/properties/access/type",keyword:"type",params:{type: schema20.properties.access.type}}];
return false;
}
if(!(((data3 === "read") || (data3 === "readWrite")) || (data3 === null))){
validate19.errors = [{instancePath:instancePath+"/access",schemaPath:"#/properties/access/enum",keyword:"enum",params:{allowedValues: schema20.properties.access.enum}}];
return false;
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.guestAddress !== undefined){
let data4 = data.guestAddress;
const _errs10 = errors;
if((!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))) && (data4 !== null)){
validate19.errors = [{instancePath:instancePath+"/guestAddress",schemaPath:"#/properties/guestAddress/type",keyword:"type",params:{type: schema20.properties.guestAddress.type}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate19.errors = [{instancePath:instancePath+"/guestAddress",schemaPath:"#/properties/guestAddress/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate19.errors = [{instancePath:instancePath+"/guestAddress",schemaPath:"#/properties/guestAddress/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.metadata !== undefined){
let data5 = data.metadata;
const _errs12 = errors;
if((!(data5 && typeof data5 == "object" && !Array.isArray(data5))) && (data5 !== null)){
validate19.errors = [{instancePath:instancePath+"/metadata",schemaPath:"#/properties/metadata/type",keyword:"type",params:{type: schema20.properties.metadata.type}}];
return false;
}
var valid0 = _errs12 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data6 = data.secret;
const _errs14 = errors;
if((typeof data6 !== "string") && (data6 !== null)){
validate19.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema20.properties.secret.type}}];
return false;
}
var valid0 = _errs14 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
else {
validate19.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate19.errors = vErrors;
return errors === 0;
}

const RevokeMappingIn = validate20;
const schema21 = {"description":"End a mapping. From its own process: it has unmapped and closed. From the owner or an administrator: the holder\nis asked (event revokeRequested), given graceMs, and then the range's policy decides: killed, or left.\nrevoked: proved that no descriptor and no mapping of it remain, or, given back by its own process while others\nrightly hold the allocation, that only those have it open. quarantined: no proof yet; the mapping stays in state\nrevoking until there is one. With more, each step of the way is a reply of its own.","type":"object","properties":{"mapping":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"graceMs":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"secret":{"type":["string","null"]}},"required":["mapping"],"additionalProperties":false};

function validate20(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.mapping === undefined) && (missing0 = "mapping")){
validate20.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "mapping") || (key0 === "graceMs")) || (key0 === "secret"))){
validate20.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.mapping !== undefined){
let data0 = data.mapping;
const _errs2 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate20.errors = [{instancePath:instancePath+"/mapping",schemaPath:"#/properties/mapping/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs2){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 9007199254740991 || isNaN(data0)){
validate20.errors = [{instancePath:instancePath+"/mapping",schemaPath:"#/properties/mapping/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data0 < -9007199254740991 || isNaN(data0)){
validate20.errors = [{instancePath:instancePath+"/mapping",schemaPath:"#/properties/mapping/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.graceMs !== undefined){
let data1 = data.graceMs;
const _errs4 = errors;
if((!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))) && (data1 !== null)){
validate20.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/type",keyword:"type",params:{type: schema21.properties.graceMs.type}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate20.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate20.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data2 = data.secret;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate20.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema21.properties.secret.type}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate20.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate20.errors = vErrors;
return errors === 0;
}

const ReleaseIn = validate21;
const schema22 = {"description":"End an allocation: its mappings are revoked as by RevokeMapping, its memory is scrubbed and freed.\nquarantined: the name is free again, the memory only when its last holder is gone.","type":"object","properties":{"name":{"type":"string"},"graceMs":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"secret":{"type":["string","null"]}},"required":["name"],"additionalProperties":false};

function validate21(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate21.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "name") || (key0 === "graceMs")) || (key0 === "secret"))){
validate21.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate21.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.graceMs !== undefined){
let data1 = data.graceMs;
const _errs4 = errors;
if((!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))) && (data1 !== null)){
validate21.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/type",keyword:"type",params:{type: schema22.properties.graceMs.type}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate21.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate21.errors = [{instancePath:instancePath+"/graceMs",schemaPath:"#/properties/graceMs/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data2 = data.secret;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate21.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema22.properties.secret.type}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate21.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate21.errors = vErrors;
return errors === 0;
}

const ClaimIn = validate22;
const schema23 = {"description":"Take up one's allocations again after the client, the broker or the kernel was replaced. Either name, or prefix\nwith more: one reply per allocation, in order of id. The caller becomes the holder and gets a descriptor for\neach dormant mapping of its uid. Mappings of allocations only shared with the caller come back the same way.\nnothing: no allocation matches. With a prefix, what can't be claimed is reported and the others go on.","type":"object","properties":{"name":{"type":["string","null"]},"prefix":{"type":["string","null"]},"secret":{"type":["string","null"]}},"additionalProperties":false};

function validate22(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "name") || (key0 === "prefix")) || (key0 === "secret"))){
validate22.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
let data0 = data.name;
const _errs2 = errors;
if((typeof data0 !== "string") && (data0 !== null)){
validate22.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: schema23.properties.name.type}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.prefix !== undefined){
let data1 = data.prefix;
const _errs4 = errors;
if((typeof data1 !== "string") && (data1 !== null)){
validate22.errors = [{instancePath:instancePath+"/prefix",schemaPath:"#/properties/prefix/type",keyword:"type",params:{type: schema23.properties.prefix.type}}];
return false;
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data2 = data.secret;
const _errs6 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate22.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema23.properties.secret.type}}];
return false;
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
else {
validate22.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate22.errors = vErrors;
return errors === 0;
}

const FreezeIn = validate23;
const schema24 = {"description":"Refuse every change of every table until Thaw, across restarts of the broker. A new boot ends a freeze.\ndigests: record what every allocation holds, for Verify; all who write to them must have stopped. With more,\nreplies tell how far that is; frozen is the last. The freeze itself stands from the first reply on, and stays when\nthe caller goes away; the digests taken so far do too, and Freeze with digests may be called again. Thaw ends them.","type":"object","properties":{"reason":{"type":["string","null"]},"digests":{"type":["boolean","null"]}},"additionalProperties":false};

function validate23(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
const _errs1 = errors;
for(const key0 in data){
if(!((key0 === "reason") || (key0 === "digests"))){
validate23.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.reason !== undefined){
let data0 = data.reason;
const _errs2 = errors;
if((typeof data0 !== "string") && (data0 !== null)){
validate23.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: schema24.properties.reason.type}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.digests !== undefined){
let data1 = data.digests;
const _errs4 = errors;
if((typeof data1 !== "boolean") && (data1 !== null)){
validate23.errors = [{instancePath:instancePath+"/digests",schemaPath:"#/properties/digests/type",keyword:"type",params:{type: schema24.properties.digests.type}}];
return false;
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate23.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate23.errors = vErrors;
return errors === 0;
}

const ThawIn = validate24;
const schema25 = {"type":"object","properties":{},"additionalProperties":false};

function validate24(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate24.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate24.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate24.errors = vErrors;
return errors === 0;
}

const VerifyIn = validate25;
const schema26 = {"description":"Compare what allocations hold with the digests of the last freeze: all, or those under prefix; one reply for each\nin order of id (outcome verified, with its verdict), and with more, between them how far it is. An allocation has\nno digest (verdict unverified) if it was not there, or was claimed or mapped for writing, or grown, since. Memory that\ncan't be read enters the ledger of bad memory (verdict poisoned). For administrators, also while the broker is frozen.","type":"object","properties":{"prefix":{"type":["string","null"]}},"additionalProperties":false};

function validate25(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
const _errs1 = errors;
for(const key0 in data){
if(!(key0 === "prefix")){
validate25.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.prefix !== undefined){
let data0 = data.prefix;
if((typeof data0 !== "string") && (data0 !== null)){
validate25.errors = [{instancePath:instancePath+"/prefix",schemaPath:"#/properties/prefix/type",keyword:"type",params:{type: schema26.properties.prefix.type}}];
return false;
}
}
}
}
else {
validate25.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate25.errors = vErrors;
return errors === 0;
}

const MarkPoisonedIn = validate26;
const schema27 = {"description":"This memory is bad: an allocation's, told by who may map it (a machine check: SIGBUS with BUS_MCEERR_AO or _AR), or\na range's, told by an administrator. offset and length are in the allocation, or in the range, and grow to whole\npages of the source. Once nobody has it any more it is never handed out again, also not after kexec. Where the kernel\nchooses the pages (directory, memfd), nothing enters the ledger, and only the verdict says it. Also while frozen.","type":"object","properties":{"name":{"type":["string","null"]},"range":{"type":["string","null"]},"offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"secret":{"type":["string","null"]}},"required":["offset","length"],"additionalProperties":false};

function validate26(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.offset === undefined) && (missing0 = "offset")) || ((data.length === undefined) && (missing0 = "length"))){
validate26.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((((key0 === "name") || (key0 === "range")) || (key0 === "offset")) || (key0 === "length")) || (key0 === "secret"))){
validate26.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
let data0 = data.name;
const _errs2 = errors;
if((typeof data0 !== "string") && (data0 !== null)){
validate26.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: schema27.properties.name.type}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.range !== undefined){
let data1 = data.range;
const _errs4 = errors;
if((typeof data1 !== "string") && (data1 !== null)){
validate26.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: schema27.properties.range.type}}];
return false;
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.offset !== undefined){
let data2 = data.offset;
const _errs6 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate26.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate26.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate26.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.length !== undefined){
let data3 = data.length;
const _errs8 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate26.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs8){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate26.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate26.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs8 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
let data4 = data.secret;
const _errs10 = errors;
if((typeof data4 !== "string") && (data4 !== null)){
validate26.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: schema27.properties.secret.type}}];
return false;
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
else {
validate26.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate26.errors = vErrors;
return errors === 0;
}

const ListPoisonedIn = validate27;
const schema28 = {"description":"The ledger of bad memory, in order of range and offset. For administrators.","type":"object","properties":{},"additionalProperties":false};

function validate27(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate27.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate27.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate27.errors = vErrors;
return errors === 0;
}

const GetRecoveryIn = validate28;
const schema29 = {"description":"What happened at the broker's start, for each range. For administrators.","type":"object","properties":{},"additionalProperties":false};

function validate28(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate28.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate28.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate28.errors = vErrors;
return errors === 0;
}

const GetStatisticsIn = validate29;
const schema30 = {"description":"Counters since the broker's start; read twice, they give rates. For administrators. connections: all that there\nhave been. eventsMissed: events that viewers were too slow for.","type":"object","properties":{},"additionalProperties":false};

function validate29(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate29.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate29.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate29.errors = vErrors;
return errors === 0;
}

const ReadAllocationIn = validate30;
const schema31 = {"description":"Bytes of an allocation, as base64, at most 16 KiB at once, for looking at what is there. For administrators, and\nonly where the configuration says raw_view = true; each use is logged.","type":"object","properties":{"name":{"type":"string"},"offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["name","offset","length"],"additionalProperties":false};

function validate30(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((data.name === undefined) && (missing0 = "name")) || ((data.offset === undefined) && (missing0 = "offset"))) || ((data.length === undefined) && (missing0 = "length"))){
validate30.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(((key0 === "name") || (key0 === "offset")) || (key0 === "length"))){
validate30.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.name !== undefined){
const _errs2 = errors;
if(typeof data.name !== "string"){
validate30.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.offset !== undefined){
let data1 = data.offset;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate30.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate30.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate30.errors = [{instancePath:instancePath+"/offset",schemaPath:"#/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.length !== undefined){
let data2 = data.length;
const _errs6 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate30.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate30.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate30.errors = [{instancePath:instancePath+"/length",schemaPath:"#/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs6 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate30.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate30.errors = vErrors;
return errors === 0;
}

const OpenConsoleIn = validate31;
const schema32 = {"description":"The address of the debug console, with the token that opens it. For administrators.","type":"object","properties":{},"additionalProperties":false};

function validate31(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate31.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate31.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate31.errors = vErrors;
return errors === 0;
}

const ReloadIn = validate32;
const schema33 = {"description":"Read the configuration again (as SIGHUP does): owners, quotas, administrators, revocation and log level take\neffect, no client is dropped. changed names the keys whose new values are in effect, needsRestart those that\nwait for the next start. A file that is not good changes nothing. For administrators.","type":"object","properties":{},"additionalProperties":false};

function validate32(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate32.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate32.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate32.errors = vErrors;
return errors === 0;
}

const SetLogLevelIn = validate33;
const schema34 = {"description":"Until the next start or Reload. For administrators.","type":"object","properties":{"level":{"type":"string","enum":["trace","debug","info","warn","error","silent"]}},"required":["level"],"additionalProperties":false};

function validate33(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.level === undefined) && (missing0 = "level")){
validate33.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
const _errs1 = errors;
for(const key0 in data){
if(!(key0 === "level")){
validate33.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.level !== undefined){
let data0 = data.level;
if(typeof data0 !== "string"){
validate33.errors = [{instancePath:instancePath+"/level",schemaPath:"#/properties/level/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((((data0 === "trace") || (data0 === "debug")) || (data0 === "info")) || (data0 === "warn")) || (data0 === "error")) || (data0 === "silent"))){
validate33.errors = [{instancePath:instancePath+"/level",schemaPath:"#/properties/level/enum",keyword:"enum",params:{allowedValues: schema34.properties.level.enum}}];
return false;
}
}
}
}
}
else {
validate33.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate33.errors = vErrors;
return errors === 0;
}

const WatchIn = validate34;
const schema35 = {"description":"First the state (kind snapshot, in batches; its last has snapshotEnd), then each change as it happens.\nA viewer too slow to keep up loses events and is told how many by missed. mine: only what concerns the\ncaller's own process.","type":"object","properties":{"mine":{"type":["boolean","null"]}},"additionalProperties":false};

function validate34(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
const _errs1 = errors;
for(const key0 in data){
if(!(key0 === "mine")){
validate34.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
if(_errs1 === errors){
if(data.mine !== undefined){
let data0 = data.mine;
if((typeof data0 !== "boolean") && (data0 !== null)){
validate34.errors = [{instancePath:instancePath+"/mine",schemaPath:"#/properties/mine/type",keyword:"type",params:{type: schema35.properties.mine.type}}];
return false;
}
}
}
}
else {
validate34.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate34.errors = vErrors;
return errors === 0;
}

const ListClientsIn = validate35;
const schema36 = {"type":"object","properties":{},"additionalProperties":false};

function validate35(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
for(const key0 in data){
validate35.errors = [{instancePath,schemaPath:"#/additionalProperties",keyword:"additionalProperties",params:{additionalProperty: key0}}];
return false;
break;
}
}
else {
validate35.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate35.errors = vErrors;
return errors === 0;
}

const GetStatusOut = validate36;
const schema37 = {"type":"object","properties":{"version":{"type":"string"},"pid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bootId":{"type":"string"},"startedAt":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"frozen":{"type":["string","null"]},"ranges":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocations":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"unclaimed":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"mappings":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"clients":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"clientsMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"retired":{"type":"array","items":{"$ref":"#/definitions/Retired"}},"usage":{"type":"array","items":{"$ref":"#/definitions/Usage"}}},"required":["version","pid","bootId","startedAt","ranges","allocations","unclaimed","mappings","clients","clientsMax","retired","usage"]};
const schema40 = {"description":"An owner's quota and what it uses. Retired memory stays charged until it is free.","type":"object","properties":{"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bytesMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocations":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocationsMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"mappings":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"mappingsMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["uid","bytes","bytesMax","allocations","allocationsMax","mappings","mappingsMax"]};
const schema38 = {"description":"Memory retired from use: its allocation is gone, its bytes are not yet anybody's. scrubbedBytes of them are\nzeroed by now.","type":"object","properties":{"id":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"range":{"type":"string"},"allocation":{"type":"string"},"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"extents":{"type":"array","items":{"$ref":"#/definitions/Extent"}},"scrubbedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"state":{"type":"string","enum":["scrubbing","quarantined"]},"reason":{"type":"string"},"holders":{"type":"array","items":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}}},"required":["id","range","allocation","uid","bytes","extents","scrubbedBytes","state","reason","holders"]};
const schema39 = {"description":"A piece of a range: offset from the range's start.","type":"object","properties":{"offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["offset","length"]};

function validate37(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((data.id === undefined) && (missing0 = "id")) || ((data.range === undefined) && (missing0 = "range"))) || ((data.allocation === undefined) && (missing0 = "allocation"))) || ((data.uid === undefined) && (missing0 = "uid"))) || ((data.bytes === undefined) && (missing0 = "bytes"))) || ((data.extents === undefined) && (missing0 = "extents"))) || ((data.scrubbedBytes === undefined) && (missing0 = "scrubbedBytes"))) || ((data.state === undefined) && (missing0 = "state"))) || ((data.reason === undefined) && (missing0 = "reason"))) || ((data.holders === undefined) && (missing0 = "holders"))){
validate37.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.id !== undefined){
let data0 = data.id;
const _errs1 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate37.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs1){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 9007199254740991 || isNaN(data0)){
validate37.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data0 < -9007199254740991 || isNaN(data0)){
validate37.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.range !== undefined){
const _errs3 = errors;
if(typeof data.range !== "string"){
validate37.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.allocation !== undefined){
const _errs5 = errors;
if(typeof data.allocation !== "string"){
validate37.errors = [{instancePath:instancePath+"/allocation",schemaPath:"#/properties/allocation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.uid !== undefined){
let data3 = data.uid;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate37.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate37.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate37.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bytes !== undefined){
let data4 = data.bytes;
const _errs9 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate37.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate37.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate37.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.extents !== undefined){
let data5 = data.extents;
const _errs11 = errors;
if(errors === _errs11){
if(Array.isArray(data5)){
var valid1 = true;
const len0 = data5.length;
for(let i0=0; i0<len0; i0++){
let data6 = data5[i0];
const _errs13 = errors;
const _errs14 = errors;
if(errors === _errs14){
if(data6 && typeof data6 == "object" && !Array.isArray(data6)){
let missing1;
if(((data6.offset === undefined) && (missing1 = "offset")) || ((data6.length === undefined) && (missing1 = "length"))){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0,schemaPath:"#/definitions/Extent/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data6.offset !== undefined){
let data7 = data6.offset;
const _errs16 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs16){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs16 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data6.length !== undefined){
let data8 = data6.length;
const _errs18 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate37.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs18 === errors;
}
else {
var valid3 = true;
}
}
}
}
else {
validate37.errors = [{instancePath:instancePath+"/extents/" + i0,schemaPath:"#/definitions/Extent/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs13 === errors;
if(!valid1){
break;
}
}
}
else {
validate37.errors = [{instancePath:instancePath+"/extents",schemaPath:"#/properties/extents/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs11 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.scrubbedBytes !== undefined){
let data9 = data.scrubbedBytes;
const _errs20 = errors;
if(!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))){
validate37.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs20){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate37.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate37.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs20 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.state !== undefined){
let data10 = data.state;
const _errs22 = errors;
if(typeof data10 !== "string"){
validate37.errors = [{instancePath:instancePath+"/state",schemaPath:"#/properties/state/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data10 === "scrubbing") || (data10 === "quarantined"))){
validate37.errors = [{instancePath:instancePath+"/state",schemaPath:"#/properties/state/enum",keyword:"enum",params:{allowedValues: schema38.properties.state.enum}}];
return false;
}
var valid0 = _errs22 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reason !== undefined){
const _errs24 = errors;
if(typeof data.reason !== "string"){
validate37.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.holders !== undefined){
let data12 = data.holders;
const _errs26 = errors;
if(errors === _errs26){
if(Array.isArray(data12)){
var valid4 = true;
const len1 = data12.length;
for(let i1=0; i1<len1; i1++){
let data13 = data12[i1];
const _errs28 = errors;
if(!(((typeof data13 == "number") && (!(data13 % 1) && !isNaN(data13))) && (isFinite(data13)))){
validate37.errors = [{instancePath:instancePath+"/holders/" + i1,schemaPath:"#/properties/holders/items/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs28){
if((typeof data13 == "number") && (isFinite(data13))){
if(data13 > 9007199254740991 || isNaN(data13)){
validate37.errors = [{instancePath:instancePath+"/holders/" + i1,schemaPath:"#/properties/holders/items/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data13 < -9007199254740991 || isNaN(data13)){
validate37.errors = [{instancePath:instancePath+"/holders/" + i1,schemaPath:"#/properties/holders/items/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs28 === errors;
if(!valid4){
break;
}
}
}
else {
validate37.errors = [{instancePath:instancePath+"/holders",schemaPath:"#/properties/holders/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate37.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate37.errors = vErrors;
return errors === 0;
}


function validate36(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((((data.version === undefined) && (missing0 = "version")) || ((data.pid === undefined) && (missing0 = "pid"))) || ((data.bootId === undefined) && (missing0 = "bootId"))) || ((data.startedAt === undefined) && (missing0 = "startedAt"))) || ((data.ranges === undefined) && (missing0 = "ranges"))) || ((data.allocations === undefined) && (missing0 = "allocations"))) || ((data.unclaimed === undefined) && (missing0 = "unclaimed"))) || ((data.mappings === undefined) && (missing0 = "mappings"))) || ((data.clients === undefined) && (missing0 = "clients"))) || ((data.clientsMax === undefined) && (missing0 = "clientsMax"))) || ((data.retired === undefined) && (missing0 = "retired"))) || ((data.usage === undefined) && (missing0 = "usage"))){
validate36.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.version !== undefined){
const _errs1 = errors;
if(typeof data.version !== "string"){
validate36.errors = [{instancePath:instancePath+"/version",schemaPath:"#/properties/version/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.pid !== undefined){
let data1 = data.pid;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate36.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate36.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate36.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bootId !== undefined){
const _errs5 = errors;
if(typeof data.bootId !== "string"){
validate36.errors = [{instancePath:instancePath+"/bootId",schemaPath:"#/properties/bootId/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.startedAt !== undefined){
let data3 = data.startedAt;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate36.errors = [{instancePath:instancePath+"/startedAt",schemaPath:"#/properties/startedAt/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate36.errors = [{instancePath:instancePath+"/startedAt",schemaPath:"#/properties/startedAt/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate36.errors = [{instancePath:instancePath+"/startedAt",schemaPath:"#/properties/startedAt/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.frozen !== undefined){
let data4 = data.frozen;
const _errs9 = errors;
if((typeof data4 !== "string") && (data4 !== null)){
validate36.errors = [{instancePath:instancePath+"/frozen",schemaPath:"#/properties/frozen/type",keyword:"type",params:{type: schema37.properties.frozen.type}}];
return false;
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.ranges !== undefined){
let data5 = data.ranges;
const _errs11 = errors;
if(!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))){
validate36.errors = [{instancePath:instancePath+"/ranges",schemaPath:"#/properties/ranges/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs11){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate36.errors = [{instancePath:instancePath+"/ranges",schemaPath:"#/properties/ranges/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate36.errors = [{instancePath:instancePath+"/ranges",schemaPath:"#/properties/ranges/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs11 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.allocations !== undefined){
let data6 = data.allocations;
const _errs13 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate36.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs13){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate36.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate36.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs13 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.unclaimed !== undefined){
let data7 = data.unclaimed;
const _errs15 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate36.errors = [{instancePath:instancePath+"/unclaimed",schemaPath:"#/properties/unclaimed/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs15){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate36.errors = [{instancePath:instancePath+"/unclaimed",schemaPath:"#/properties/unclaimed/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate36.errors = [{instancePath:instancePath+"/unclaimed",schemaPath:"#/properties/unclaimed/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs15 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.mappings !== undefined){
let data8 = data.mappings;
const _errs17 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate36.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs17){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate36.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate36.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs17 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.clients !== undefined){
let data9 = data.clients;
const _errs19 = errors;
if(!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))){
validate36.errors = [{instancePath:instancePath+"/clients",schemaPath:"#/properties/clients/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs19){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate36.errors = [{instancePath:instancePath+"/clients",schemaPath:"#/properties/clients/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate36.errors = [{instancePath:instancePath+"/clients",schemaPath:"#/properties/clients/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs19 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.clientsMax !== undefined){
let data10 = data.clientsMax;
const _errs21 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate36.errors = [{instancePath:instancePath+"/clientsMax",schemaPath:"#/properties/clientsMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs21){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate36.errors = [{instancePath:instancePath+"/clientsMax",schemaPath:"#/properties/clientsMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate36.errors = [{instancePath:instancePath+"/clientsMax",schemaPath:"#/properties/clientsMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs21 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.retired !== undefined){
let data11 = data.retired;
const _errs23 = errors;
if(errors === _errs23){
if(Array.isArray(data11)){
var valid1 = true;
const len0 = data11.length;
for(let i0=0; i0<len0; i0++){
const _errs25 = errors;
if(!(validate37(data11[i0], {instancePath:instancePath+"/retired/" + i0,parentData:data11,parentDataProperty:i0,rootData}))){
vErrors = vErrors === null ? validate37.errors : vErrors.concat(validate37.errors);
errors = vErrors.length;
}
var valid1 = _errs25 === errors;
if(!valid1){
break;
}
}
}
else {
validate36.errors = [{instancePath:instancePath+"/retired",schemaPath:"#/properties/retired/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs23 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.usage !== undefined){
let data13 = data.usage;
const _errs26 = errors;
if(errors === _errs26){
if(Array.isArray(data13)){
var valid2 = true;
const len1 = data13.length;
for(let i1=0; i1<len1; i1++){
let data14 = data13[i1];
const _errs28 = errors;
const _errs29 = errors;
if(errors === _errs29){
if(data14 && typeof data14 == "object" && !Array.isArray(data14)){
let missing1;
if((((((((data14.uid === undefined) && (missing1 = "uid")) || ((data14.bytes === undefined) && (missing1 = "bytes"))) || ((data14.bytesMax === undefined) && (missing1 = "bytesMax"))) || ((data14.allocations === undefined) && (missing1 = "allocations"))) || ((data14.allocationsMax === undefined) && (missing1 = "allocationsMax"))) || ((data14.mappings === undefined) && (missing1 = "mappings"))) || ((data14.mappingsMax === undefined) && (missing1 = "mappingsMax"))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1,schemaPath:"#/definitions/Usage/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data14.uid !== undefined){
let data15 = data14.uid;
const _errs31 = errors;
if(!(((typeof data15 == "number") && (!(data15 % 1) && !isNaN(data15))) && (isFinite(data15)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/uid",schemaPath:"#/definitions/Usage/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs31){
if((typeof data15 == "number") && (isFinite(data15))){
if(data15 > 9007199254740991 || isNaN(data15)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/uid",schemaPath:"#/definitions/Usage/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data15 < -9007199254740991 || isNaN(data15)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/uid",schemaPath:"#/definitions/Usage/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs31 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.bytes !== undefined){
let data16 = data14.bytes;
const _errs33 = errors;
if(!(((typeof data16 == "number") && (!(data16 % 1) && !isNaN(data16))) && (isFinite(data16)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytes",schemaPath:"#/definitions/Usage/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs33){
if((typeof data16 == "number") && (isFinite(data16))){
if(data16 > 9007199254740991 || isNaN(data16)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytes",schemaPath:"#/definitions/Usage/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data16 < -9007199254740991 || isNaN(data16)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytes",schemaPath:"#/definitions/Usage/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs33 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.bytesMax !== undefined){
let data17 = data14.bytesMax;
const _errs35 = errors;
if(!(((typeof data17 == "number") && (!(data17 % 1) && !isNaN(data17))) && (isFinite(data17)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytesMax",schemaPath:"#/definitions/Usage/properties/bytesMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs35){
if((typeof data17 == "number") && (isFinite(data17))){
if(data17 > 9007199254740991 || isNaN(data17)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytesMax",schemaPath:"#/definitions/Usage/properties/bytesMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data17 < -9007199254740991 || isNaN(data17)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/bytesMax",schemaPath:"#/definitions/Usage/properties/bytesMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs35 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.allocations !== undefined){
let data18 = data14.allocations;
const _errs37 = errors;
if(!(((typeof data18 == "number") && (!(data18 % 1) && !isNaN(data18))) && (isFinite(data18)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocations",schemaPath:"#/definitions/Usage/properties/allocations/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs37){
if((typeof data18 == "number") && (isFinite(data18))){
if(data18 > 9007199254740991 || isNaN(data18)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocations",schemaPath:"#/definitions/Usage/properties/allocations/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data18 < -9007199254740991 || isNaN(data18)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocations",schemaPath:"#/definitions/Usage/properties/allocations/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs37 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.allocationsMax !== undefined){
let data19 = data14.allocationsMax;
const _errs39 = errors;
if(!(((typeof data19 == "number") && (!(data19 % 1) && !isNaN(data19))) && (isFinite(data19)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocationsMax",schemaPath:"#/definitions/Usage/properties/allocationsMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs39){
if((typeof data19 == "number") && (isFinite(data19))){
if(data19 > 9007199254740991 || isNaN(data19)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocationsMax",schemaPath:"#/definitions/Usage/properties/allocationsMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data19 < -9007199254740991 || isNaN(data19)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/allocationsMax",schemaPath:"#/definitions/Usage/properties/allocationsMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs39 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.mappings !== undefined){
let data20 = data14.mappings;
const _errs41 = errors;
if(!(((typeof data20 == "number") && (!(data20 % 1) && !isNaN(data20))) && (isFinite(data20)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappings",schemaPath:"#/definitions/Usage/properties/mappings/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs41){
if((typeof data20 == "number") && (isFinite(data20))){
if(data20 > 9007199254740991 || isNaN(data20)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappings",schemaPath:"#/definitions/Usage/properties/mappings/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data20 < -9007199254740991 || isNaN(data20)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappings",schemaPath:"#/definitions/Usage/properties/mappings/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs41 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data14.mappingsMax !== undefined){
let data21 = data14.mappingsMax;
const _errs43 = errors;
if(!(((typeof data21 == "number") && (!(data21 % 1) && !isNaN(data21))) && (isFinite(data21)))){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappingsMax",schemaPath:"#/definitions/Usage/properties/mappingsMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs43){
if((typeof data21 == "number") && (isFinite(data21))){
if(data21 > 9007199254740991 || isNaN(data21)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappingsMax",schemaPath:"#/definitions/Usage/properties/mappingsMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data21 < -9007199254740991 || isNaN(data21)){
validate36.errors = [{instancePath:instancePath+"/usage/" + i1+"/mappingsMax",schemaPath:"#/definitions/Usage/properties/mappingsMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs43 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
}
}
}
else {
validate36.errors = [{instancePath:instancePath+"/usage/" + i1,schemaPath:"#/definitions/Usage/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid2 = _errs28 === errors;
if(!valid2){
break;
}
}
}
else {
validate36.errors = [{instancePath:instancePath+"/usage",schemaPath:"#/properties/usage/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate36.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate36.errors = vErrors;
return errors === 0;
}

const ListRangesOut = validate39;
const schema41 = {"type":"object","properties":{"ranges":{"type":"array","items":{"$ref":"#/definitions/Range"}}},"required":["ranges"]};
const schema42 = {"description":"A reserved range. base is the physical address where the source has one. Free memory is freeBytes, of which\nlargestFreeBytes can be had in one extent; scrubbingBytes and quarantinedBytes are retired, not yet free;\npoisonedBytes are bad memory that nobody is given again, apart from what a living allocation still has of it.\nA readOnly range serves what it holds and refuses every change; reason says why.","type":"object","properties":{"name":{"type":"string"},"source":{"type":"string"},"state":{"type":"string","enum":["online","readOnly"]},"reason":{"type":["string","null"]},"base":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"node":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"freeBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"largestFreeBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"freeExtents":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocatedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"quarantinedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"scrubbingBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"poisonedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"alignBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocations":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"table":{"$ref":"#/definitions/TableStatus"},"capabilities":{"$ref":"#/definitions/Capabilities"}},"required":["name","source","state","bytes","freeBytes","largestFreeBytes","freeExtents","allocatedBytes","quarantinedBytes","scrubbingBytes","poisonedBytes","alignBytes","allocations","table","capabilities"]};
const schema43 = {"description":"How full the allocation table is, and what the last writer left in it.","type":"object","properties":{"epoch":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"sequence":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"stateBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"stateBytesMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"recovery":{"type":"string","enum":["fresh","sameBoot","newBoot","unreadable"]}},"required":["epoch","sequence","stateBytes","stateBytesMax","recovery"]};
const schema44 = {"description":"What a source can really do.\n  fdBound: what keeps a descriptor inside its allocation: the kernel device, a file of its own, or nothing\n  forcedRevoke: the broker can end a mapping under a holder that does not cooperate\n  survivesBroker, survivesKexec: contents and table outlive the broker process, the kernel\n  directMap: the kernel itself keeps this memory in its direct map","type":"object","properties":{"fdBound":{"type":"string","enum":["kernel","file","none"]},"forcedRevoke":{"type":"boolean"},"survivesBroker":{"type":"boolean"},"survivesKexec":{"type":"boolean"},"directMap":{"type":"boolean"},"pageBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["fdBound","forcedRevoke","survivesBroker","survivesKexec","directMap","pageBytes"]};

function validate40(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((((((((((((((data.name === undefined) && (missing0 = "name")) || ((data.source === undefined) && (missing0 = "source"))) || ((data.state === undefined) && (missing0 = "state"))) || ((data.bytes === undefined) && (missing0 = "bytes"))) || ((data.freeBytes === undefined) && (missing0 = "freeBytes"))) || ((data.largestFreeBytes === undefined) && (missing0 = "largestFreeBytes"))) || ((data.freeExtents === undefined) && (missing0 = "freeExtents"))) || ((data.allocatedBytes === undefined) && (missing0 = "allocatedBytes"))) || ((data.quarantinedBytes === undefined) && (missing0 = "quarantinedBytes"))) || ((data.scrubbingBytes === undefined) && (missing0 = "scrubbingBytes"))) || ((data.poisonedBytes === undefined) && (missing0 = "poisonedBytes"))) || ((data.alignBytes === undefined) && (missing0 = "alignBytes"))) || ((data.allocations === undefined) && (missing0 = "allocations"))) || ((data.table === undefined) && (missing0 = "table"))) || ((data.capabilities === undefined) && (missing0 = "capabilities"))){
validate40.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.name !== undefined){
const _errs1 = errors;
if(typeof data.name !== "string"){
validate40.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.source !== undefined){
const _errs3 = errors;
if(typeof data.source !== "string"){
validate40.errors = [{instancePath:instancePath+"/source",schemaPath:"#/properties/source/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.state !== undefined){
let data2 = data.state;
const _errs5 = errors;
if(typeof data2 !== "string"){
validate40.errors = [{instancePath:instancePath+"/state",schemaPath:"#/properties/state/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data2 === "online") || (data2 === "readOnly"))){
validate40.errors = [{instancePath:instancePath+"/state",schemaPath:"#/properties/state/enum",keyword:"enum",params:{allowedValues: schema42.properties.state.enum}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reason !== undefined){
let data3 = data.reason;
const _errs7 = errors;
if((typeof data3 !== "string") && (data3 !== null)){
validate40.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: schema42.properties.reason.type}}];
return false;
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.base !== undefined){
let data4 = data.base;
const _errs9 = errors;
if((!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))) && (data4 !== null)){
validate40.errors = [{instancePath:instancePath+"/base",schemaPath:"#/properties/base/type",keyword:"type",params:{type: schema42.properties.base.type}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate40.errors = [{instancePath:instancePath+"/base",schemaPath:"#/properties/base/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate40.errors = [{instancePath:instancePath+"/base",schemaPath:"#/properties/base/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.node !== undefined){
let data5 = data.node;
const _errs11 = errors;
if((!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))) && (data5 !== null)){
validate40.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/type",keyword:"type",params:{type: schema42.properties.node.type}}];
return false;
}
if(errors === _errs11){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate40.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate40.errors = [{instancePath:instancePath+"/node",schemaPath:"#/properties/node/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs11 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bytes !== undefined){
let data6 = data.bytes;
const _errs13 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate40.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs13){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate40.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate40.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs13 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.freeBytes !== undefined){
let data7 = data.freeBytes;
const _errs15 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate40.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs15){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate40.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate40.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs15 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.largestFreeBytes !== undefined){
let data8 = data.largestFreeBytes;
const _errs17 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate40.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs17){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate40.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate40.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs17 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.freeExtents !== undefined){
let data9 = data.freeExtents;
const _errs19 = errors;
if(!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))){
validate40.errors = [{instancePath:instancePath+"/freeExtents",schemaPath:"#/properties/freeExtents/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs19){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate40.errors = [{instancePath:instancePath+"/freeExtents",schemaPath:"#/properties/freeExtents/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate40.errors = [{instancePath:instancePath+"/freeExtents",schemaPath:"#/properties/freeExtents/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs19 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.allocatedBytes !== undefined){
let data10 = data.allocatedBytes;
const _errs21 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate40.errors = [{instancePath:instancePath+"/allocatedBytes",schemaPath:"#/properties/allocatedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs21){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate40.errors = [{instancePath:instancePath+"/allocatedBytes",schemaPath:"#/properties/allocatedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate40.errors = [{instancePath:instancePath+"/allocatedBytes",schemaPath:"#/properties/allocatedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs21 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.quarantinedBytes !== undefined){
let data11 = data.quarantinedBytes;
const _errs23 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate40.errors = [{instancePath:instancePath+"/quarantinedBytes",schemaPath:"#/properties/quarantinedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs23){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate40.errors = [{instancePath:instancePath+"/quarantinedBytes",schemaPath:"#/properties/quarantinedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate40.errors = [{instancePath:instancePath+"/quarantinedBytes",schemaPath:"#/properties/quarantinedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs23 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.scrubbingBytes !== undefined){
let data12 = data.scrubbingBytes;
const _errs25 = errors;
if(!(((typeof data12 == "number") && (!(data12 % 1) && !isNaN(data12))) && (isFinite(data12)))){
validate40.errors = [{instancePath:instancePath+"/scrubbingBytes",schemaPath:"#/properties/scrubbingBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs25){
if((typeof data12 == "number") && (isFinite(data12))){
if(data12 > 9007199254740991 || isNaN(data12)){
validate40.errors = [{instancePath:instancePath+"/scrubbingBytes",schemaPath:"#/properties/scrubbingBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data12 < -9007199254740991 || isNaN(data12)){
validate40.errors = [{instancePath:instancePath+"/scrubbingBytes",schemaPath:"#/properties/scrubbingBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs25 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.poisonedBytes !== undefined){
let data13 = data.poisonedBytes;
const _errs27 = errors;
if(!(((typeof data13 == "number") && (!(data13 % 1) && !isNaN(data13))) && (isFinite(data13)))){
validate40.errors = [{instancePath:instancePath+"/poisonedBytes",schemaPath:"#/properties/poisonedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs27){
if((typeof data13 == "number") && (isFinite(data13))){
if(data13 > 9007199254740991 || isNaN(data13)){
validate40.errors = [{instancePath:instancePath+"/poisonedBytes",schemaPath:"#/properties/poisonedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data13 < -9007199254740991 || isNaN(data13)){
validate40.errors = [{instancePath:instancePath+"/poisonedBytes",schemaPath:"#/properties/poisonedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs27 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.alignBytes !== undefined){
let data14 = data.alignBytes;
const _errs29 = errors;
if(!(((typeof data14 == "number") && (!(data14 % 1) && !isNaN(data14))) && (isFinite(data14)))){
validate40.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs29){
if((typeof data14 == "number") && (isFinite(data14))){
if(data14 > 9007199254740991 || isNaN(data14)){
validate40.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data14 < -9007199254740991 || isNaN(data14)){
validate40.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs29 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.allocations !== undefined){
let data15 = data.allocations;
const _errs31 = errors;
if(!(((typeof data15 == "number") && (!(data15 % 1) && !isNaN(data15))) && (isFinite(data15)))){
validate40.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs31){
if((typeof data15 == "number") && (isFinite(data15))){
if(data15 > 9007199254740991 || isNaN(data15)){
validate40.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data15 < -9007199254740991 || isNaN(data15)){
validate40.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs31 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.table !== undefined){
let data16 = data.table;
const _errs33 = errors;
const _errs34 = errors;
if(errors === _errs34){
if(data16 && typeof data16 == "object" && !Array.isArray(data16)){
let missing1;
if((((((data16.epoch === undefined) && (missing1 = "epoch")) || ((data16.sequence === undefined) && (missing1 = "sequence"))) || ((data16.stateBytes === undefined) && (missing1 = "stateBytes"))) || ((data16.stateBytesMax === undefined) && (missing1 = "stateBytesMax"))) || ((data16.recovery === undefined) && (missing1 = "recovery"))){
validate40.errors = [{instancePath:instancePath+"/table",schemaPath:"#/definitions/TableStatus/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data16.epoch !== undefined){
let data17 = data16.epoch;
const _errs36 = errors;
if(!(((typeof data17 == "number") && (!(data17 % 1) && !isNaN(data17))) && (isFinite(data17)))){
validate40.errors = [{instancePath:instancePath+"/table/epoch",schemaPath:"#/definitions/TableStatus/properties/epoch/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs36){
if((typeof data17 == "number") && (isFinite(data17))){
if(data17 > 9007199254740991 || isNaN(data17)){
validate40.errors = [{instancePath:instancePath+"/table/epoch",schemaPath:"#/definitions/TableStatus/properties/epoch/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data17 < -9007199254740991 || isNaN(data17)){
validate40.errors = [{instancePath:instancePath+"/table/epoch",schemaPath:"#/definitions/TableStatus/properties/epoch/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs36 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data16.sequence !== undefined){
let data18 = data16.sequence;
const _errs38 = errors;
if(!(((typeof data18 == "number") && (!(data18 % 1) && !isNaN(data18))) && (isFinite(data18)))){
validate40.errors = [{instancePath:instancePath+"/table/sequence",schemaPath:"#/definitions/TableStatus/properties/sequence/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs38){
if((typeof data18 == "number") && (isFinite(data18))){
if(data18 > 9007199254740991 || isNaN(data18)){
validate40.errors = [{instancePath:instancePath+"/table/sequence",schemaPath:"#/definitions/TableStatus/properties/sequence/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data18 < -9007199254740991 || isNaN(data18)){
validate40.errors = [{instancePath:instancePath+"/table/sequence",schemaPath:"#/definitions/TableStatus/properties/sequence/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs38 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data16.stateBytes !== undefined){
let data19 = data16.stateBytes;
const _errs40 = errors;
if(!(((typeof data19 == "number") && (!(data19 % 1) && !isNaN(data19))) && (isFinite(data19)))){
validate40.errors = [{instancePath:instancePath+"/table/stateBytes",schemaPath:"#/definitions/TableStatus/properties/stateBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs40){
if((typeof data19 == "number") && (isFinite(data19))){
if(data19 > 9007199254740991 || isNaN(data19)){
validate40.errors = [{instancePath:instancePath+"/table/stateBytes",schemaPath:"#/definitions/TableStatus/properties/stateBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data19 < -9007199254740991 || isNaN(data19)){
validate40.errors = [{instancePath:instancePath+"/table/stateBytes",schemaPath:"#/definitions/TableStatus/properties/stateBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs40 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data16.stateBytesMax !== undefined){
let data20 = data16.stateBytesMax;
const _errs42 = errors;
if(!(((typeof data20 == "number") && (!(data20 % 1) && !isNaN(data20))) && (isFinite(data20)))){
validate40.errors = [{instancePath:instancePath+"/table/stateBytesMax",schemaPath:"#/definitions/TableStatus/properties/stateBytesMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs42){
if((typeof data20 == "number") && (isFinite(data20))){
if(data20 > 9007199254740991 || isNaN(data20)){
validate40.errors = [{instancePath:instancePath+"/table/stateBytesMax",schemaPath:"#/definitions/TableStatus/properties/stateBytesMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data20 < -9007199254740991 || isNaN(data20)){
validate40.errors = [{instancePath:instancePath+"/table/stateBytesMax",schemaPath:"#/definitions/TableStatus/properties/stateBytesMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs42 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data16.recovery !== undefined){
let data21 = data16.recovery;
const _errs44 = errors;
if(typeof data21 !== "string"){
validate40.errors = [{instancePath:instancePath+"/table/recovery",schemaPath:"#/definitions/TableStatus/properties/recovery/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((data21 === "fresh") || (data21 === "sameBoot")) || (data21 === "newBoot")) || (data21 === "unreadable"))){
validate40.errors = [{instancePath:instancePath+"/table/recovery",schemaPath:"#/definitions/TableStatus/properties/recovery/enum",keyword:"enum",params:{allowedValues: schema43.properties.recovery.enum}}];
return false;
}
var valid2 = _errs44 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
}
}
else {
validate40.errors = [{instancePath:instancePath+"/table",schemaPath:"#/definitions/TableStatus/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid0 = _errs33 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.capabilities !== undefined){
let data22 = data.capabilities;
const _errs46 = errors;
const _errs47 = errors;
if(errors === _errs47){
if(data22 && typeof data22 == "object" && !Array.isArray(data22)){
let missing2;
if(((((((data22.fdBound === undefined) && (missing2 = "fdBound")) || ((data22.forcedRevoke === undefined) && (missing2 = "forcedRevoke"))) || ((data22.survivesBroker === undefined) && (missing2 = "survivesBroker"))) || ((data22.survivesKexec === undefined) && (missing2 = "survivesKexec"))) || ((data22.directMap === undefined) && (missing2 = "directMap"))) || ((data22.pageBytes === undefined) && (missing2 = "pageBytes"))){
validate40.errors = [{instancePath:instancePath+"/capabilities",schemaPath:"#/definitions/Capabilities/required",keyword:"required",params:{missingProperty: missing2}}];
return false;
}
else {
if(data22.fdBound !== undefined){
let data23 = data22.fdBound;
const _errs49 = errors;
if(typeof data23 !== "string"){
validate40.errors = [{instancePath:instancePath+"/capabilities/fdBound",schemaPath:"#/definitions/Capabilities/properties/fdBound/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data23 === "kernel") || (data23 === "file")) || (data23 === "none"))){
validate40.errors = [{instancePath:instancePath+"/capabilities/fdBound",schemaPath:"#/definitions/Capabilities/properties/fdBound/enum",keyword:"enum",params:{allowedValues: schema44.properties.fdBound.enum}}];
return false;
}
var valid4 = _errs49 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data22.forcedRevoke !== undefined){
const _errs51 = errors;
if(typeof data22.forcedRevoke !== "boolean"){
validate40.errors = [{instancePath:instancePath+"/capabilities/forcedRevoke",schemaPath:"#/definitions/Capabilities/properties/forcedRevoke/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid4 = _errs51 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data22.survivesBroker !== undefined){
const _errs53 = errors;
if(typeof data22.survivesBroker !== "boolean"){
validate40.errors = [{instancePath:instancePath+"/capabilities/survivesBroker",schemaPath:"#/definitions/Capabilities/properties/survivesBroker/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid4 = _errs53 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data22.survivesKexec !== undefined){
const _errs55 = errors;
if(typeof data22.survivesKexec !== "boolean"){
validate40.errors = [{instancePath:instancePath+"/capabilities/survivesKexec",schemaPath:"#/definitions/Capabilities/properties/survivesKexec/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid4 = _errs55 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data22.directMap !== undefined){
const _errs57 = errors;
if(typeof data22.directMap !== "boolean"){
validate40.errors = [{instancePath:instancePath+"/capabilities/directMap",schemaPath:"#/definitions/Capabilities/properties/directMap/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid4 = _errs57 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data22.pageBytes !== undefined){
let data28 = data22.pageBytes;
const _errs59 = errors;
if(!(((typeof data28 == "number") && (!(data28 % 1) && !isNaN(data28))) && (isFinite(data28)))){
validate40.errors = [{instancePath:instancePath+"/capabilities/pageBytes",schemaPath:"#/definitions/Capabilities/properties/pageBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs59){
if((typeof data28 == "number") && (isFinite(data28))){
if(data28 > 9007199254740991 || isNaN(data28)){
validate40.errors = [{instancePath:instancePath+"/capabilities/pageBytes",schemaPath:"#/definitions/Capabilities/properties/pageBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data28 < -9007199254740991 || isNaN(data28)){
validate40.errors = [{instancePath:instancePath+"/capabilities/pageBytes",schemaPath:"#/definitions/Capabilities/properties/pageBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs59 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
}
}
else {
validate40.errors = [{instancePath:instancePath+"/capabilities",schemaPath:"#/definitions/Capabilities/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid0 = _errs46 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate40.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate40.errors = vErrors;
return errors === 0;
}


function validate39(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.ranges === undefined) && (missing0 = "ranges")){
validate39.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.ranges !== undefined){
let data0 = data.ranges;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
const _errs3 = errors;
if(!(validate40(data0[i0], {instancePath:instancePath+"/ranges/" + i0,parentData:data0,parentDataProperty:i0,rootData}))){
vErrors = vErrors === null ? validate40.errors : vErrors.concat(validate40.errors);
errors = vErrors.length;
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate39.errors = [{instancePath:instancePath+"/ranges",schemaPath:"#/properties/ranges/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
}
}
}
else {
validate39.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate39.errors = vErrors;
return errors === 0;
}

const ListAllocationsOut = validate42;
const schema45 = {"type":"object","properties":{"allocations":{"type":"array","items":{"$ref":"#/definitions/Allocation"}},"next":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991}},"required":["allocations"]};
const schema46 = {"description":"A named, owned, persisted set of extents. holderPid is the living process that allocated or claimed it.\nmetadata belongs to the owner, the broker only keeps it. verdict: what is known of the contents (see Verify).","type":"object","properties":{"id":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"name":{"type":"string"},"range":{"type":"string"},"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"alignBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"extents":{"type":"array","items":{"$ref":"#/definitions/Extent"}},"metadata":{"type":["object","null"]},"secret":{"type":"boolean"},"shares":{"type":"array","items":{"$ref":"#/definitions/ShareRight"}},"mappings":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"holderPid":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"verdict":{"type":"string","enum":["intact","changed","poisoned","unverified"]}},"required":["id","name","range","uid","bytes","alignBytes","extents","secret","shares","mappings","verdict"]};
const schema48 = {"description":"The right of another uid to map an allocation.","type":"object","properties":{"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"access":{"type":"string","enum":["read","readWrite"]}},"required":["uid","access"]};

function validate43(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((((((((((data.id === undefined) && (missing0 = "id")) || ((data.name === undefined) && (missing0 = "name"))) || ((data.range === undefined) && (missing0 = "range"))) || ((data.uid === undefined) && (missing0 = "uid"))) || ((data.bytes === undefined) && (missing0 = "bytes"))) || ((data.alignBytes === undefined) && (missing0 = "alignBytes"))) || ((data.extents === undefined) && (missing0 = "extents"))) || ((data.secret === undefined) && (missing0 = "secret"))) || ((data.shares === undefined) && (missing0 = "shares"))) || ((data.mappings === undefined) && (missing0 = "mappings"))) || ((data.verdict === undefined) && (missing0 = "verdict"))){
validate43.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.id !== undefined){
let data0 = data.id;
const _errs1 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate43.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs1){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 9007199254740991 || isNaN(data0)){
validate43.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data0 < -9007199254740991 || isNaN(data0)){
validate43.errors = [{instancePath:instancePath+"/id",schemaPath:"#/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.name !== undefined){
const _errs3 = errors;
if(typeof data.name !== "string"){
validate43.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.range !== undefined){
const _errs5 = errors;
if(typeof data.range !== "string"){
validate43.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.uid !== undefined){
let data3 = data.uid;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate43.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate43.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate43.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bytes !== undefined){
let data4 = data.bytes;
const _errs9 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate43.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate43.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate43.errors = [{instancePath:instancePath+"/bytes",schemaPath:"#/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.alignBytes !== undefined){
let data5 = data.alignBytes;
const _errs11 = errors;
if(!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))){
validate43.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs11){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate43.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate43.errors = [{instancePath:instancePath+"/alignBytes",schemaPath:"#/properties/alignBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs11 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.extents !== undefined){
let data6 = data.extents;
const _errs13 = errors;
if(errors === _errs13){
if(Array.isArray(data6)){
var valid1 = true;
const len0 = data6.length;
for(let i0=0; i0<len0; i0++){
let data7 = data6[i0];
const _errs15 = errors;
const _errs16 = errors;
if(errors === _errs16){
if(data7 && typeof data7 == "object" && !Array.isArray(data7)){
let missing1;
if(((data7.offset === undefined) && (missing1 = "offset")) || ((data7.length === undefined) && (missing1 = "length"))){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0,schemaPath:"#/definitions/Extent/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data7.offset !== undefined){
let data8 = data7.offset;
const _errs18 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/offset",schemaPath:"#/definitions/Extent/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs18 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data7.length !== undefined){
let data9 = data7.length;
const _errs20 = errors;
if(!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs20){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate43.errors = [{instancePath:instancePath+"/extents/" + i0+"/length",schemaPath:"#/definitions/Extent/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs20 === errors;
}
else {
var valid3 = true;
}
}
}
}
else {
validate43.errors = [{instancePath:instancePath+"/extents/" + i0,schemaPath:"#/definitions/Extent/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs15 === errors;
if(!valid1){
break;
}
}
}
else {
validate43.errors = [{instancePath:instancePath+"/extents",schemaPath:"#/properties/extents/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs13 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.metadata !== undefined){
let data10 = data.metadata;
const _errs22 = errors;
if((!(data10 && typeof data10 == "object" && !Array.isArray(data10))) && (data10 !== null)){
validate43.errors = [{instancePath:instancePath+"/metadata",schemaPath:"#/properties/metadata/type",keyword:"type",params:{type: schema46.properties.metadata.type}}];
return false;
}
var valid0 = _errs22 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.secret !== undefined){
const _errs24 = errors;
if(typeof data.secret !== "boolean"){
validate43.errors = [{instancePath:instancePath+"/secret",schemaPath:"#/properties/secret/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.shares !== undefined){
let data12 = data.shares;
const _errs26 = errors;
if(errors === _errs26){
if(Array.isArray(data12)){
var valid4 = true;
const len1 = data12.length;
for(let i1=0; i1<len1; i1++){
let data13 = data12[i1];
const _errs28 = errors;
const _errs29 = errors;
if(errors === _errs29){
if(data13 && typeof data13 == "object" && !Array.isArray(data13)){
let missing2;
if(((data13.uid === undefined) && (missing2 = "uid")) || ((data13.access === undefined) && (missing2 = "access"))){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1,schemaPath:"#/definitions/ShareRight/required",keyword:"required",params:{missingProperty: missing2}}];
return false;
}
else {
if(data13.uid !== undefined){
let data14 = data13.uid;
const _errs31 = errors;
if(!(((typeof data14 == "number") && (!(data14 % 1) && !isNaN(data14))) && (isFinite(data14)))){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1+"/uid",schemaPath:"#/definitions/ShareRight/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs31){
if((typeof data14 == "number") && (isFinite(data14))){
if(data14 > 9007199254740991 || isNaN(data14)){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1+"/uid",schemaPath:"#/definitions/ShareRight/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data14 < -9007199254740991 || isNaN(data14)){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1+"/uid",schemaPath:"#/definitions/ShareRight/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid6 = _errs31 === errors;
}
else {
var valid6 = true;
}
if(valid6){
if(data13.access !== undefined){
let data15 = data13.access;
const _errs33 = errors;
if(typeof data15 !== "string"){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1+"/access",schemaPath:"#/definitions/ShareRight/properties/access/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data15 === "read") || (data15 === "readWrite"))){
validate43.errors = [{instancePath:instancePath+"/shares/" + i1+"/access",schemaPath:"#/definitions/ShareRight/properties/access/enum",keyword:"enum",params:{allowedValues: schema48.properties.access.enum}}];
return false;
}
var valid6 = _errs33 === errors;
}
else {
var valid6 = true;
}
}
}
}
else {
validate43.errors = [{instancePath:instancePath+"/shares/" + i1,schemaPath:"#/definitions/ShareRight/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid4 = _errs28 === errors;
if(!valid4){
break;
}
}
}
else {
validate43.errors = [{instancePath:instancePath+"/shares",schemaPath:"#/properties/shares/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.mappings !== undefined){
let data16 = data.mappings;
const _errs35 = errors;
if(!(((typeof data16 == "number") && (!(data16 % 1) && !isNaN(data16))) && (isFinite(data16)))){
validate43.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs35){
if((typeof data16 == "number") && (isFinite(data16))){
if(data16 > 9007199254740991 || isNaN(data16)){
validate43.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data16 < -9007199254740991 || isNaN(data16)){
validate43.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs35 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.holderPid !== undefined){
let data17 = data.holderPid;
const _errs37 = errors;
if((!(((typeof data17 == "number") && (!(data17 % 1) && !isNaN(data17))) && (isFinite(data17)))) && (data17 !== null)){
validate43.errors = [{instancePath:instancePath+"/holderPid",schemaPath:"#/properties/holderPid/type",keyword:"type",params:{type: schema46.properties.holderPid.type}}];
return false;
}
if(errors === _errs37){
if((typeof data17 == "number") && (isFinite(data17))){
if(data17 > 9007199254740991 || isNaN(data17)){
validate43.errors = [{instancePath:instancePath+"/holderPid",schemaPath:"#/properties/holderPid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data17 < -9007199254740991 || isNaN(data17)){
validate43.errors = [{instancePath:instancePath+"/holderPid",schemaPath:"#/properties/holderPid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs37 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.verdict !== undefined){
let data18 = data.verdict;
const _errs39 = errors;
if(typeof data18 !== "string"){
validate43.errors = [{instancePath:instancePath+"/verdict",schemaPath:"#/properties/verdict/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((data18 === "intact") || (data18 === "changed")) || (data18 === "poisoned")) || (data18 === "unverified"))){
validate43.errors = [{instancePath:instancePath+"/verdict",schemaPath:"#/properties/verdict/enum",keyword:"enum",params:{allowedValues: schema46.properties.verdict.enum}}];
return false;
}
var valid0 = _errs39 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate43.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate43.errors = vErrors;
return errors === 0;
}


function validate42(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.allocations === undefined) && (missing0 = "allocations")){
validate42.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocations !== undefined){
let data0 = data.allocations;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
const _errs3 = errors;
if(!(validate43(data0[i0], {instancePath:instancePath+"/allocations/" + i0,parentData:data0,parentDataProperty:i0,rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate42.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.next !== undefined){
let data2 = data.next;
const _errs4 = errors;
if((!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))) && (data2 !== null)){
validate42.errors = [{instancePath:instancePath+"/next",schemaPath:"#/properties/next/type",keyword:"type",params:{type: schema45.properties.next.type}}];
return false;
}
if(errors === _errs4){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate42.errors = [{instancePath:instancePath+"/next",schemaPath:"#/properties/next/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate42.errors = [{instancePath:instancePath+"/next",schemaPath:"#/properties/next/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate42.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate42.errors = vErrors;
return errors === 0;
}

const GetAllocationOut = validate45;
const schema49 = {"type":"object","properties":{"allocation":{"$ref":"#/definitions/Allocation"},"mappings":{"type":"array","items":{"$ref":"#/definitions/Mapping"}}},"required":["allocation","mappings"]};
const schema50 = {"description":"One process' right to map part of an allocation. offset and length are within the allocation.\nheld: its process lives; dormant: it is gone, and the layout waits to be claimed; revoking: being taken back.","type":"object","properties":{"id":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocation":{"type":"string"},"offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"access":{"type":"string","enum":["read","readWrite"]},"guestAddress":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"metadata":{"type":["object","null"]},"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"pid":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"state":{"type":"string","enum":["held","dormant","revoking"]}},"required":["id","allocation","offset","length","access","uid","state"]};

function validate45(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.allocation === undefined) && (missing0 = "allocation")) || ((data.mappings === undefined) && (missing0 = "mappings"))){
validate45.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocation !== undefined){
const _errs1 = errors;
if(!(validate43(data.allocation, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.mappings !== undefined){
let data1 = data.mappings;
const _errs2 = errors;
if(errors === _errs2){
if(Array.isArray(data1)){
var valid1 = true;
const len0 = data1.length;
for(let i0=0; i0<len0; i0++){
let data2 = data1[i0];
const _errs4 = errors;
const _errs5 = errors;
if(errors === _errs5){
if(data2 && typeof data2 == "object" && !Array.isArray(data2)){
let missing1;
if((((((((data2.id === undefined) && (missing1 = "id")) || ((data2.allocation === undefined) && (missing1 = "allocation"))) || ((data2.offset === undefined) && (missing1 = "offset"))) || ((data2.length === undefined) && (missing1 = "length"))) || ((data2.access === undefined) && (missing1 = "access"))) || ((data2.uid === undefined) && (missing1 = "uid"))) || ((data2.state === undefined) && (missing1 = "state"))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0,schemaPath:"#/definitions/Mapping/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data2.id !== undefined){
let data3 = data2.id;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/id",schemaPath:"#/definitions/Mapping/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/id",schemaPath:"#/definitions/Mapping/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/id",schemaPath:"#/definitions/Mapping/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs7 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.allocation !== undefined){
const _errs9 = errors;
if(typeof data2.allocation !== "string"){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/allocation",schemaPath:"#/definitions/Mapping/properties/allocation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs9 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.offset !== undefined){
let data5 = data2.offset;
const _errs11 = errors;
if(!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs11){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs11 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.length !== undefined){
let data6 = data2.length;
const _errs13 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/length",schemaPath:"#/definitions/Mapping/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs13){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/length",schemaPath:"#/definitions/Mapping/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/length",schemaPath:"#/definitions/Mapping/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs13 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.access !== undefined){
let data7 = data2.access;
const _errs15 = errors;
if(typeof data7 !== "string"){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/access",schemaPath:"#/definitions/Mapping/properties/access/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data7 === "read") || (data7 === "readWrite"))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/access",schemaPath:"#/definitions/Mapping/properties/access/enum",keyword:"enum",params:{allowedValues: schema50.properties.access.enum}}];
return false;
}
var valid3 = _errs15 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.guestAddress !== undefined){
let data8 = data2.guestAddress;
const _errs17 = errors;
if((!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))) && (data8 !== null)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/type",keyword:"type",params:{type: schema50.properties.guestAddress.type}}];
return false;
}
if(errors === _errs17){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs17 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.metadata !== undefined){
let data9 = data2.metadata;
const _errs19 = errors;
if((!(data9 && typeof data9 == "object" && !Array.isArray(data9))) && (data9 !== null)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/metadata",schemaPath:"#/definitions/Mapping/properties/metadata/type",keyword:"type",params:{type: schema50.properties.metadata.type}}];
return false;
}
var valid3 = _errs19 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.uid !== undefined){
let data10 = data2.uid;
const _errs21 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs21){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs21 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.pid !== undefined){
let data11 = data2.pid;
const _errs23 = errors;
if((!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))) && (data11 !== null)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/type",keyword:"type",params:{type: schema50.properties.pid.type}}];
return false;
}
if(errors === _errs23){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs23 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data2.state !== undefined){
let data12 = data2.state;
const _errs25 = errors;
if(typeof data12 !== "string"){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/state",schemaPath:"#/definitions/Mapping/properties/state/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data12 === "held") || (data12 === "dormant")) || (data12 === "revoking"))){
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0+"/state",schemaPath:"#/definitions/Mapping/properties/state/enum",keyword:"enum",params:{allowedValues: schema50.properties.state.enum}}];
return false;
}
var valid3 = _errs25 === errors;
}
else {
var valid3 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate45.errors = [{instancePath:instancePath+"/mappings/" + i0,schemaPath:"#/definitions/Mapping/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs4 === errors;
if(!valid1){
break;
}
}
}
else {
validate45.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs2 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate45.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate45.errors = vErrors;
return errors === 0;
}

const AllocateOut = validate47;
const schema51 = {"type":"object","properties":{"allocation":{"$ref":"#/definitions/Allocation"}},"required":["allocation"]};

function validate47(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.allocation === undefined) && (missing0 = "allocation")){
validate47.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocation !== undefined){
if(!(validate43(data.allocation, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
}
}
}
else {
validate47.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate47.errors = vErrors;
return errors === 0;
}

const GrowOut = validate49;
const schema52 = {"type":"object","properties":{"allocation":{"$ref":"#/definitions/Allocation"}},"required":["allocation"]};

function validate49(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.allocation === undefined) && (missing0 = "allocation")){
validate49.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocation !== undefined){
if(!(validate43(data.allocation, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
}
}
}
else {
validate49.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate49.errors = vErrors;
return errors === 0;
}

const SetMetadataOut = validate51;
const schema53 = {"type":"object","properties":{"allocation":{"$ref":"#/definitions/Allocation"}},"required":["allocation"]};

function validate51(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.allocation === undefined) && (missing0 = "allocation")){
validate51.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocation !== undefined){
if(!(validate43(data.allocation, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
}
}
}
else {
validate51.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate51.errors = vErrors;
return errors === 0;
}

const ShareOut = validate53;
const schema54 = {"type":"object","properties":{"allocation":{"$ref":"#/definitions/Allocation"}},"required":["allocation"]};

function validate53(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.allocation === undefined) && (missing0 = "allocation")){
validate53.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.allocation !== undefined){
if(!(validate43(data.allocation, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
}
}
}
else {
validate53.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate53.errors = vErrors;
return errors === 0;
}

const CreateMappingOut = validate55;
const schema55 = {"type":"object","properties":{"grant":{"$ref":"#/definitions/Grant"}},"required":["grant"]};
const schema56 = {"description":"A mapping with its descriptor. Where the descriptor covers the whole allocation (capability fdBound: file),\nmmapOffset is where in the descriptor the mapping starts.","type":"object","properties":{"mapping":{"$ref":"#/definitions/Mapping"},"fileDescriptor":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"mmapOffset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["mapping","fileDescriptor","mmapOffset"]};

function validate56(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((data.mapping === undefined) && (missing0 = "mapping")) || ((data.fileDescriptor === undefined) && (missing0 = "fileDescriptor"))) || ((data.mmapOffset === undefined) && (missing0 = "mmapOffset"))){
validate56.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.mapping !== undefined){
let data0 = data.mapping;
const _errs1 = errors;
const _errs2 = errors;
if(errors === _errs2){
if(data0 && typeof data0 == "object" && !Array.isArray(data0)){
let missing1;
if((((((((data0.id === undefined) && (missing1 = "id")) || ((data0.allocation === undefined) && (missing1 = "allocation"))) || ((data0.offset === undefined) && (missing1 = "offset"))) || ((data0.length === undefined) && (missing1 = "length"))) || ((data0.access === undefined) && (missing1 = "access"))) || ((data0.uid === undefined) && (missing1 = "uid"))) || ((data0.state === undefined) && (missing1 = "state"))){
validate56.errors = [{instancePath:instancePath+"/mapping",schemaPath:"#/definitions/Mapping/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data0.id !== undefined){
let data1 = data0.id;
const _errs4 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate56.errors = [{instancePath:instancePath+"/mapping/id",schemaPath:"#/definitions/Mapping/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs4){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate56.errors = [{instancePath:instancePath+"/mapping/id",schemaPath:"#/definitions/Mapping/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate56.errors = [{instancePath:instancePath+"/mapping/id",schemaPath:"#/definitions/Mapping/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs4 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.allocation !== undefined){
const _errs6 = errors;
if(typeof data0.allocation !== "string"){
validate56.errors = [{instancePath:instancePath+"/mapping/allocation",schemaPath:"#/definitions/Mapping/properties/allocation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid2 = _errs6 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.offset !== undefined){
let data3 = data0.offset;
const _errs8 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate56.errors = [{instancePath:instancePath+"/mapping/offset",schemaPath:"#/definitions/Mapping/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs8){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate56.errors = [{instancePath:instancePath+"/mapping/offset",schemaPath:"#/definitions/Mapping/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate56.errors = [{instancePath:instancePath+"/mapping/offset",schemaPath:"#/definitions/Mapping/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs8 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.length !== undefined){
let data4 = data0.length;
const _errs10 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate56.errors = [{instancePath:instancePath+"/mapping/length",schemaPath:"#/definitions/Mapping/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate56.errors = [{instancePath:instancePath+"/mapping/length",schemaPath:"#/definitions/Mapping/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate56.errors = [{instancePath:instancePath+"/mapping/length",schemaPath:"#/definitions/Mapping/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs10 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.access !== undefined){
let data5 = data0.access;
const _errs12 = errors;
if(typeof data5 !== "string"){
validate56.errors = [{instancePath:instancePath+"/mapping/access",schemaPath:"#/definitions/Mapping/properties/access/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data5 === "read") || (data5 === "readWrite"))){
validate56.errors = [{instancePath:instancePath+"/mapping/access",schemaPath:"#/definitions/Mapping/properties/access/enum",keyword:"enum",params:{allowedValues: schema50.properties.access.enum}}];
return false;
}
var valid2 = _errs12 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.guestAddress !== undefined){
let data6 = data0.guestAddress;
const _errs14 = errors;
if((!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))) && (data6 !== null)){
validate56.errors = [{instancePath:instancePath+"/mapping/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/type",keyword:"type",params:{type: schema50.properties.guestAddress.type}}];
return false;
}
if(errors === _errs14){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate56.errors = [{instancePath:instancePath+"/mapping/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate56.errors = [{instancePath:instancePath+"/mapping/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs14 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.metadata !== undefined){
let data7 = data0.metadata;
const _errs16 = errors;
if((!(data7 && typeof data7 == "object" && !Array.isArray(data7))) && (data7 !== null)){
validate56.errors = [{instancePath:instancePath+"/mapping/metadata",schemaPath:"#/definitions/Mapping/properties/metadata/type",keyword:"type",params:{type: schema50.properties.metadata.type}}];
return false;
}
var valid2 = _errs16 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.uid !== undefined){
let data8 = data0.uid;
const _errs18 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate56.errors = [{instancePath:instancePath+"/mapping/uid",schemaPath:"#/definitions/Mapping/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate56.errors = [{instancePath:instancePath+"/mapping/uid",schemaPath:"#/definitions/Mapping/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate56.errors = [{instancePath:instancePath+"/mapping/uid",schemaPath:"#/definitions/Mapping/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs18 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.pid !== undefined){
let data9 = data0.pid;
const _errs20 = errors;
if((!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))) && (data9 !== null)){
validate56.errors = [{instancePath:instancePath+"/mapping/pid",schemaPath:"#/definitions/Mapping/properties/pid/type",keyword:"type",params:{type: schema50.properties.pid.type}}];
return false;
}
if(errors === _errs20){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate56.errors = [{instancePath:instancePath+"/mapping/pid",schemaPath:"#/definitions/Mapping/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate56.errors = [{instancePath:instancePath+"/mapping/pid",schemaPath:"#/definitions/Mapping/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid2 = _errs20 === errors;
}
else {
var valid2 = true;
}
if(valid2){
if(data0.state !== undefined){
let data10 = data0.state;
const _errs22 = errors;
if(typeof data10 !== "string"){
validate56.errors = [{instancePath:instancePath+"/mapping/state",schemaPath:"#/definitions/Mapping/properties/state/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data10 === "held") || (data10 === "dormant")) || (data10 === "revoking"))){
validate56.errors = [{instancePath:instancePath+"/mapping/state",schemaPath:"#/definitions/Mapping/properties/state/enum",keyword:"enum",params:{allowedValues: schema50.properties.state.enum}}];
return false;
}
var valid2 = _errs22 === errors;
}
else {
var valid2 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate56.errors = [{instancePath:instancePath+"/mapping",schemaPath:"#/definitions/Mapping/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.fileDescriptor !== undefined){
let data11 = data.fileDescriptor;
const _errs24 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate56.errors = [{instancePath:instancePath+"/fileDescriptor",schemaPath:"#/properties/fileDescriptor/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs24){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate56.errors = [{instancePath:instancePath+"/fileDescriptor",schemaPath:"#/properties/fileDescriptor/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate56.errors = [{instancePath:instancePath+"/fileDescriptor",schemaPath:"#/properties/fileDescriptor/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.mmapOffset !== undefined){
let data12 = data.mmapOffset;
const _errs26 = errors;
if(!(((typeof data12 == "number") && (!(data12 % 1) && !isNaN(data12))) && (isFinite(data12)))){
validate56.errors = [{instancePath:instancePath+"/mmapOffset",schemaPath:"#/properties/mmapOffset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs26){
if((typeof data12 == "number") && (isFinite(data12))){
if(data12 > 9007199254740991 || isNaN(data12)){
validate56.errors = [{instancePath:instancePath+"/mmapOffset",schemaPath:"#/properties/mmapOffset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data12 < -9007199254740991 || isNaN(data12)){
validate56.errors = [{instancePath:instancePath+"/mmapOffset",schemaPath:"#/properties/mmapOffset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
else {
validate56.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate56.errors = vErrors;
return errors === 0;
}


function validate55(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.grant === undefined) && (missing0 = "grant")){
validate55.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.grant !== undefined){
if(!(validate56(data.grant, {instancePath:instancePath+"/grant",parentData:data,parentDataProperty:"grant",rootData}))){
vErrors = vErrors === null ? validate56.errors : vErrors.concat(validate56.errors);
errors = vErrors.length;
}
}
}
}
else {
validate55.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate55.errors = vErrors;
return errors === 0;
}

const RevokeMappingOut = validate58;
const schema58 = {"type":"object","properties":{"outcome":{"type":"string","enum":["pending","revoked","quarantined"]},"step":{"type":"string"}},"required":["outcome","step"]};

function validate58(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.outcome === undefined) && (missing0 = "outcome")) || ((data.step === undefined) && (missing0 = "step"))){
validate58.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.outcome !== undefined){
let data0 = data.outcome;
const _errs1 = errors;
if(typeof data0 !== "string"){
validate58.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data0 === "pending") || (data0 === "revoked")) || (data0 === "quarantined"))){
validate58.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/enum",keyword:"enum",params:{allowedValues: schema58.properties.outcome.enum}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.step !== undefined){
const _errs3 = errors;
if(typeof data.step !== "string"){
validate58.errors = [{instancePath:instancePath+"/step",schemaPath:"#/properties/step/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate58.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate58.errors = vErrors;
return errors === 0;
}

const ReleaseOut = validate59;
const schema59 = {"type":"object","properties":{"outcome":{"type":"string","enum":["pending","released","quarantined"]},"step":{"type":"string"}},"required":["outcome","step"]};

function validate59(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.outcome === undefined) && (missing0 = "outcome")) || ((data.step === undefined) && (missing0 = "step"))){
validate59.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.outcome !== undefined){
let data0 = data.outcome;
const _errs1 = errors;
if(typeof data0 !== "string"){
validate59.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data0 === "pending") || (data0 === "released")) || (data0 === "quarantined"))){
validate59.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/enum",keyword:"enum",params:{allowedValues: schema59.properties.outcome.enum}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.step !== undefined){
const _errs3 = errors;
if(typeof data.step !== "string"){
validate59.errors = [{instancePath:instancePath+"/step",schemaPath:"#/properties/step/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate59.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate59.errors = vErrors;
return errors === 0;
}

const ClaimOut = validate60;
const schema60 = {"type":"object","properties":{"outcome":{"type":"string","enum":["claimed","held","refused","unavailable","nothing"]},"detail":{"type":["string","null"]},"allocation":{"anyOf":[{"$ref":"#/definitions/Allocation"},{"type":"null"}]},"grants":{"type":"array","items":{"$ref":"#/definitions/Grant"}}},"required":["outcome","grants"]};

function validate60(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.outcome === undefined) && (missing0 = "outcome")) || ((data.grants === undefined) && (missing0 = "grants"))){
validate60.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.outcome !== undefined){
let data0 = data.outcome;
const _errs1 = errors;
if(typeof data0 !== "string"){
validate60.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((((data0 === "claimed") || (data0 === "held")) || (data0 === "refused")) || (data0 === "unavailable")) || (data0 === "nothing"))){
validate60.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/enum",keyword:"enum",params:{allowedValues: schema60.properties.outcome.enum}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detail !== undefined){
let data1 = data.detail;
const _errs3 = errors;
if((typeof data1 !== "string") && (data1 !== null)){
validate60.errors = [{instancePath:instancePath+"/detail",schemaPath:"#/properties/detail/type",keyword:"type",params:{type: schema60.properties.detail.type}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.allocation !== undefined){
let data2 = data.allocation;
const _errs5 = errors;
const _errs6 = errors;
let valid1 = false;
const _errs7 = errors;
if(!(validate43(data2, {instancePath:instancePath+"/allocation",parentData:data,parentDataProperty:"allocation",rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
var _valid0 = _errs7 === errors;
valid1 = valid1 || _valid0;
if(!valid1){
const _errs8 = errors;
if(data2 !== null){
const err0 = {instancePath:instancePath+"/allocation",schemaPath:"#/properties/allocation/anyOf/1/type",keyword:"type",params:{type: "null"}};
if(vErrors === null){
vErrors = [err0];
}
else {
vErrors.push(err0);
}
errors++;
}
var _valid0 = _errs8 === errors;
valid1 = valid1 || _valid0;
}
if(!valid1){
const err1 = {instancePath:instancePath+"/allocation",schemaPath:"#/properties/allocation/anyOf",keyword:"anyOf",params:{}};
if(vErrors === null){
vErrors = [err1];
}
else {
vErrors.push(err1);
}
errors++;
validate60.errors = vErrors;
return false;
}
else {
errors = _errs6;
if(vErrors !== null){
if(_errs6){
vErrors.length = _errs6;
}
else {
vErrors = null;
}
}
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.grants !== undefined){
let data3 = data.grants;
const _errs10 = errors;
if(errors === _errs10){
if(Array.isArray(data3)){
var valid2 = true;
const len0 = data3.length;
for(let i0=0; i0<len0; i0++){
const _errs12 = errors;
if(!(validate56(data3[i0], {instancePath:instancePath+"/grants/" + i0,parentData:data3,parentDataProperty:i0,rootData}))){
vErrors = vErrors === null ? validate56.errors : vErrors.concat(validate56.errors);
errors = vErrors.length;
}
var valid2 = _errs12 === errors;
if(!valid2){
break;
}
}
}
else {
validate60.errors = [{instancePath:instancePath+"/grants",schemaPath:"#/properties/grants/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs10 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate60.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate60.errors = vErrors;
return errors === 0;
}

const FreezeOut = validate63;
const schema61 = {"type":"object","properties":{"outcome":{"type":"string","enum":["pending","frozen"]},"digestedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"totalBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["outcome","digestedBytes","totalBytes"]};

function validate63(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((data.outcome === undefined) && (missing0 = "outcome")) || ((data.digestedBytes === undefined) && (missing0 = "digestedBytes"))) || ((data.totalBytes === undefined) && (missing0 = "totalBytes"))){
validate63.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.outcome !== undefined){
let data0 = data.outcome;
const _errs1 = errors;
if(typeof data0 !== "string"){
validate63.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data0 === "pending") || (data0 === "frozen"))){
validate63.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/enum",keyword:"enum",params:{allowedValues: schema61.properties.outcome.enum}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.digestedBytes !== undefined){
let data1 = data.digestedBytes;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate63.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate63.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate63.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.totalBytes !== undefined){
let data2 = data.totalBytes;
const _errs5 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate63.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs5){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate63.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate63.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
else {
validate63.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate63.errors = vErrors;
return errors === 0;
}

const ThawOut = validate64;
const schema62 = {"type":"object","properties":{}};

function validate64(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(!(data && typeof data == "object" && !Array.isArray(data))){
validate64.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate64.errors = vErrors;
return errors === 0;
}

const VerifyOut = validate65;
const schema63 = {"type":"object","properties":{"outcome":{"type":"string","enum":["pending","verified","nothing"]},"name":{"type":["string","null"]},"verdict":{"type":["string","null"],"enum":["intact","changed","poisoned","unverified",null]},"detail":{"type":["string","null"]},"verifiedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"totalBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["outcome","verifiedBytes","totalBytes"]};

function validate65(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((data.outcome === undefined) && (missing0 = "outcome")) || ((data.verifiedBytes === undefined) && (missing0 = "verifiedBytes"))) || ((data.totalBytes === undefined) && (missing0 = "totalBytes"))){
validate65.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.outcome !== undefined){
let data0 = data.outcome;
const _errs1 = errors;
if(typeof data0 !== "string"){
validate65.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data0 === "pending") || (data0 === "verified")) || (data0 === "nothing"))){
validate65.errors = [{instancePath:instancePath+"/outcome",schemaPath:"#/properties/outcome/enum",keyword:"enum",params:{allowedValues: schema63.properties.outcome.enum}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.name !== undefined){
let data1 = data.name;
const _errs3 = errors;
if((typeof data1 !== "string") && (data1 !== null)){
validate65.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: schema63.properties.name.type}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.verdict !== undefined){
let data2 = data.verdict;
const _errs5 = errors;
if((typeof data2 !== "string") && (data2 !== null)){
validate65.errors = [{instancePath:instancePath+"/verdict",schemaPath:"#/properties/verdict/type",keyword:"type",params:{type: schema63.properties.verdict.type}}];
return false;
}
if(!(((((data2 === "intact") || (data2 === "changed")) || (data2 === "poisoned")) || (data2 === "unverified")) || (data2 === null))){
validate65.errors = [{instancePath:instancePath+"/verdict",schemaPath:"#/properties/verdict/enum",keyword:"enum",params:{allowedValues: schema63.properties.verdict.enum}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.detail !== undefined){
let data3 = data.detail;
const _errs7 = errors;
if((typeof data3 !== "string") && (data3 !== null)){
validate65.errors = [{instancePath:instancePath+"/detail",schemaPath:"#/properties/detail/type",keyword:"type",params:{type: schema63.properties.detail.type}}];
return false;
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.verifiedBytes !== undefined){
let data4 = data.verifiedBytes;
const _errs9 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate65.errors = [{instancePath:instancePath+"/verifiedBytes",schemaPath:"#/properties/verifiedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate65.errors = [{instancePath:instancePath+"/verifiedBytes",schemaPath:"#/properties/verifiedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate65.errors = [{instancePath:instancePath+"/verifiedBytes",schemaPath:"#/properties/verifiedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.totalBytes !== undefined){
let data5 = data.totalBytes;
const _errs11 = errors;
if(!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))){
validate65.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs11){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate65.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate65.errors = [{instancePath:instancePath+"/totalBytes",schemaPath:"#/properties/totalBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs11 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
else {
validate65.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate65.errors = vErrors;
return errors === 0;
}

const MarkPoisonedOut = validate66;
const schema64 = {"type":"object","properties":{"poisoned":{"type":"array","items":{"$ref":"#/definitions/Poison"}}},"required":["poisoned"]};
const schema65 = {"description":"Bad memory: a piece of a range, relative to its start, and the allocation that has it, if any.","type":"object","properties":{"range":{"type":"string"},"offset":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"length":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocation":{"type":["string","null"]},"seenAt":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"origin":{"type":"string","enum":["kernel","scrub","operator","owner"]}},"required":["range","offset","length","seenAt","origin"]};

function validate66(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.poisoned === undefined) && (missing0 = "poisoned")){
validate66.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.poisoned !== undefined){
let data0 = data.poisoned;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
const _errs3 = errors;
const _errs4 = errors;
if(errors === _errs4){
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
let missing1;
if((((((data1.range === undefined) && (missing1 = "range")) || ((data1.offset === undefined) && (missing1 = "offset"))) || ((data1.length === undefined) && (missing1 = "length"))) || ((data1.seenAt === undefined) && (missing1 = "seenAt"))) || ((data1.origin === undefined) && (missing1 = "origin"))){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0,schemaPath:"#/definitions/Poison/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data1.range !== undefined){
const _errs6 = errors;
if(typeof data1.range !== "string"){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/range",schemaPath:"#/definitions/Poison/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs6 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.offset !== undefined){
let data3 = data1.offset;
const _errs8 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs8){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs8 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.length !== undefined){
let data4 = data1.length;
const _errs10 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs10 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.allocation !== undefined){
let data5 = data1.allocation;
const _errs12 = errors;
if((typeof data5 !== "string") && (data5 !== null)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/allocation",schemaPath:"#/definitions/Poison/properties/allocation/type",keyword:"type",params:{type: schema65.properties.allocation.type}}];
return false;
}
var valid3 = _errs12 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.seenAt !== undefined){
let data6 = data1.seenAt;
const _errs14 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs14){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs14 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.origin !== undefined){
let data7 = data1.origin;
const _errs16 = errors;
if(typeof data7 !== "string"){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/origin",schemaPath:"#/definitions/Poison/properties/origin/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((data7 === "kernel") || (data7 === "scrub")) || (data7 === "operator")) || (data7 === "owner"))){
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/origin",schemaPath:"#/definitions/Poison/properties/origin/enum",keyword:"enum",params:{allowedValues: schema65.properties.origin.enum}}];
return false;
}
var valid3 = _errs16 === errors;
}
else {
var valid3 = true;
}
}
}
}
}
}
}
}
else {
validate66.errors = [{instancePath:instancePath+"/poisoned/" + i0,schemaPath:"#/definitions/Poison/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate66.errors = [{instancePath:instancePath+"/poisoned",schemaPath:"#/properties/poisoned/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
}
}
}
else {
validate66.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate66.errors = vErrors;
return errors === 0;
}

const ListPoisonedOut = validate67;
const schema66 = {"type":"object","properties":{"poisoned":{"type":"array","items":{"$ref":"#/definitions/Poison"}}},"required":["poisoned"]};

function validate67(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.poisoned === undefined) && (missing0 = "poisoned")){
validate67.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.poisoned !== undefined){
let data0 = data.poisoned;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
const _errs3 = errors;
const _errs4 = errors;
if(errors === _errs4){
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
let missing1;
if((((((data1.range === undefined) && (missing1 = "range")) || ((data1.offset === undefined) && (missing1 = "offset"))) || ((data1.length === undefined) && (missing1 = "length"))) || ((data1.seenAt === undefined) && (missing1 = "seenAt"))) || ((data1.origin === undefined) && (missing1 = "origin"))){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0,schemaPath:"#/definitions/Poison/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data1.range !== undefined){
const _errs6 = errors;
if(typeof data1.range !== "string"){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/range",schemaPath:"#/definitions/Poison/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs6 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.offset !== undefined){
let data3 = data1.offset;
const _errs8 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs8){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/offset",schemaPath:"#/definitions/Poison/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs8 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.length !== undefined){
let data4 = data1.length;
const _errs10 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/length",schemaPath:"#/definitions/Poison/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs10 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.allocation !== undefined){
let data5 = data1.allocation;
const _errs12 = errors;
if((typeof data5 !== "string") && (data5 !== null)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/allocation",schemaPath:"#/definitions/Poison/properties/allocation/type",keyword:"type",params:{type: schema65.properties.allocation.type}}];
return false;
}
var valid3 = _errs12 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.seenAt !== undefined){
let data6 = data1.seenAt;
const _errs14 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs14){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/seenAt",schemaPath:"#/definitions/Poison/properties/seenAt/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs14 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.origin !== undefined){
let data7 = data1.origin;
const _errs16 = errors;
if(typeof data7 !== "string"){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/origin",schemaPath:"#/definitions/Poison/properties/origin/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((data7 === "kernel") || (data7 === "scrub")) || (data7 === "operator")) || (data7 === "owner"))){
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0+"/origin",schemaPath:"#/definitions/Poison/properties/origin/enum",keyword:"enum",params:{allowedValues: schema65.properties.origin.enum}}];
return false;
}
var valid3 = _errs16 === errors;
}
else {
var valid3 = true;
}
}
}
}
}
}
}
}
else {
validate67.errors = [{instancePath:instancePath+"/poisoned/" + i0,schemaPath:"#/definitions/Poison/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate67.errors = [{instancePath:instancePath+"/poisoned",schemaPath:"#/properties/poisoned/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
}
}
}
else {
validate67.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate67.errors = vErrors;
return errors === 0;
}

const GetRecoveryOut = validate68;
const schema68 = {"type":"object","properties":{"recoveries":{"type":"array","items":{"$ref":"#/definitions/Recovery"}}},"required":["recoveries"]};
const schema69 = {"description":"What a range's broker found when it started: the kernel before (previousBootId; null: none is known), which of\nthe two checkpoint copies of the table was the newest good one and how many journal entries were replayed on it,\nhow many allocations were there, how many of those nobody has claimed since, and what it had to say.","type":"object","properties":{"range":{"type":"string"},"kind":{"type":"string","enum":["fresh","sameBoot","newBoot","unreadable"]},"bootId":{"type":"string"},"previousBootId":{"type":["string","null"]},"startedAt":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"tookMs":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"checkpoint":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"replayed":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"epoch":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"sequence":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"allocations":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"unclaimed":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"findings":{"type":"array","items":{"type":"string"}}},"required":["range","kind","bootId","startedAt","tookMs","replayed","epoch","sequence","allocations","unclaimed","findings"]};

function validate68(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.recoveries === undefined) && (missing0 = "recoveries")){
validate68.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.recoveries !== undefined){
let data0 = data.recoveries;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
const _errs3 = errors;
const _errs4 = errors;
if(errors === _errs4){
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
let missing1;
if((((((((((((data1.range === undefined) && (missing1 = "range")) || ((data1.kind === undefined) && (missing1 = "kind"))) || ((data1.bootId === undefined) && (missing1 = "bootId"))) || ((data1.startedAt === undefined) && (missing1 = "startedAt"))) || ((data1.tookMs === undefined) && (missing1 = "tookMs"))) || ((data1.replayed === undefined) && (missing1 = "replayed"))) || ((data1.epoch === undefined) && (missing1 = "epoch"))) || ((data1.sequence === undefined) && (missing1 = "sequence"))) || ((data1.allocations === undefined) && (missing1 = "allocations"))) || ((data1.unclaimed === undefined) && (missing1 = "unclaimed"))) || ((data1.findings === undefined) && (missing1 = "findings"))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0,schemaPath:"#/definitions/Recovery/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data1.range !== undefined){
const _errs6 = errors;
if(typeof data1.range !== "string"){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/range",schemaPath:"#/definitions/Recovery/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs6 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.kind !== undefined){
let data3 = data1.kind;
const _errs8 = errors;
if(typeof data3 !== "string"){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/kind",schemaPath:"#/definitions/Recovery/properties/kind/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((((data3 === "fresh") || (data3 === "sameBoot")) || (data3 === "newBoot")) || (data3 === "unreadable"))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/kind",schemaPath:"#/definitions/Recovery/properties/kind/enum",keyword:"enum",params:{allowedValues: schema69.properties.kind.enum}}];
return false;
}
var valid3 = _errs8 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.bootId !== undefined){
const _errs10 = errors;
if(typeof data1.bootId !== "string"){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/bootId",schemaPath:"#/definitions/Recovery/properties/bootId/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs10 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.previousBootId !== undefined){
let data5 = data1.previousBootId;
const _errs12 = errors;
if((typeof data5 !== "string") && (data5 !== null)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/previousBootId",schemaPath:"#/definitions/Recovery/properties/previousBootId/type",keyword:"type",params:{type: schema69.properties.previousBootId.type}}];
return false;
}
var valid3 = _errs12 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.startedAt !== undefined){
let data6 = data1.startedAt;
const _errs14 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/startedAt",schemaPath:"#/definitions/Recovery/properties/startedAt/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs14){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/startedAt",schemaPath:"#/definitions/Recovery/properties/startedAt/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/startedAt",schemaPath:"#/definitions/Recovery/properties/startedAt/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs14 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.tookMs !== undefined){
let data7 = data1.tookMs;
const _errs16 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/tookMs",schemaPath:"#/definitions/Recovery/properties/tookMs/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs16){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/tookMs",schemaPath:"#/definitions/Recovery/properties/tookMs/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/tookMs",schemaPath:"#/definitions/Recovery/properties/tookMs/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs16 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.checkpoint !== undefined){
let data8 = data1.checkpoint;
const _errs18 = errors;
if((!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))) && (data8 !== null)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/checkpoint",schemaPath:"#/definitions/Recovery/properties/checkpoint/type",keyword:"type",params:{type: schema69.properties.checkpoint.type}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/checkpoint",schemaPath:"#/definitions/Recovery/properties/checkpoint/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/checkpoint",schemaPath:"#/definitions/Recovery/properties/checkpoint/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs18 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.replayed !== undefined){
let data9 = data1.replayed;
const _errs20 = errors;
if(!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/replayed",schemaPath:"#/definitions/Recovery/properties/replayed/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs20){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/replayed",schemaPath:"#/definitions/Recovery/properties/replayed/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/replayed",schemaPath:"#/definitions/Recovery/properties/replayed/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs20 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.epoch !== undefined){
let data10 = data1.epoch;
const _errs22 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/epoch",schemaPath:"#/definitions/Recovery/properties/epoch/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs22){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/epoch",schemaPath:"#/definitions/Recovery/properties/epoch/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/epoch",schemaPath:"#/definitions/Recovery/properties/epoch/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs22 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.sequence !== undefined){
let data11 = data1.sequence;
const _errs24 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/sequence",schemaPath:"#/definitions/Recovery/properties/sequence/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs24){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/sequence",schemaPath:"#/definitions/Recovery/properties/sequence/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/sequence",schemaPath:"#/definitions/Recovery/properties/sequence/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs24 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.allocations !== undefined){
let data12 = data1.allocations;
const _errs26 = errors;
if(!(((typeof data12 == "number") && (!(data12 % 1) && !isNaN(data12))) && (isFinite(data12)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/allocations",schemaPath:"#/definitions/Recovery/properties/allocations/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs26){
if((typeof data12 == "number") && (isFinite(data12))){
if(data12 > 9007199254740991 || isNaN(data12)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/allocations",schemaPath:"#/definitions/Recovery/properties/allocations/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data12 < -9007199254740991 || isNaN(data12)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/allocations",schemaPath:"#/definitions/Recovery/properties/allocations/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs26 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.unclaimed !== undefined){
let data13 = data1.unclaimed;
const _errs28 = errors;
if(!(((typeof data13 == "number") && (!(data13 % 1) && !isNaN(data13))) && (isFinite(data13)))){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/unclaimed",schemaPath:"#/definitions/Recovery/properties/unclaimed/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs28){
if((typeof data13 == "number") && (isFinite(data13))){
if(data13 > 9007199254740991 || isNaN(data13)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/unclaimed",schemaPath:"#/definitions/Recovery/properties/unclaimed/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data13 < -9007199254740991 || isNaN(data13)){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/unclaimed",schemaPath:"#/definitions/Recovery/properties/unclaimed/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs28 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.findings !== undefined){
let data14 = data1.findings;
const _errs30 = errors;
if(errors === _errs30){
if(Array.isArray(data14)){
var valid4 = true;
const len1 = data14.length;
for(let i1=0; i1<len1; i1++){
const _errs32 = errors;
if(typeof data14[i1] !== "string"){
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/findings/" + i1,schemaPath:"#/definitions/Recovery/properties/findings/items/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid4 = _errs32 === errors;
if(!valid4){
break;
}
}
}
else {
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0+"/findings",schemaPath:"#/definitions/Recovery/properties/findings/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid3 = _errs30 === errors;
}
else {
var valid3 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate68.errors = [{instancePath:instancePath+"/recoveries/" + i0,schemaPath:"#/definitions/Recovery/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate68.errors = [{instancePath:instancePath+"/recoveries",schemaPath:"#/properties/recoveries/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
}
}
}
else {
validate68.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate68.errors = vErrors;
return errors === 0;
}

const GetStatisticsOut = validate69;
const schema70 = {"type":"object","properties":{"time":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"bucketsMicroseconds":{"type":"array","items":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"methods":{"type":"array","items":{"$ref":"#/definitions/MethodStatistics"}},"connections":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"events":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"eventsMissed":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"scrubbedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"digestedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"residentBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"cpuMicroseconds":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["time","bucketsMicroseconds","methods","connections","events","eventsMissed","scrubbedBytes","digestedBytes","residentBytes","cpuMicroseconds"]};
const schema71 = {"description":"Calls of a method since the broker started. latency counts them by time in the broker, from parsed request to\nqueued reply: latency[i] are those of less than bucketsMicroseconds[i] (of GetStatistics) and not less than\nbucketsMicroseconds[i-1]; one more, last, has the rest.","type":"object","properties":{"method":{"type":"string"},"calls":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"errors":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"totalMicroseconds":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"latency":{"type":"array","items":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}}},"required":["method","calls","errors","totalMicroseconds","latency"]};

function validate69(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((((((((data.time === undefined) && (missing0 = "time")) || ((data.bucketsMicroseconds === undefined) && (missing0 = "bucketsMicroseconds"))) || ((data.methods === undefined) && (missing0 = "methods"))) || ((data.connections === undefined) && (missing0 = "connections"))) || ((data.events === undefined) && (missing0 = "events"))) || ((data.eventsMissed === undefined) && (missing0 = "eventsMissed"))) || ((data.scrubbedBytes === undefined) && (missing0 = "scrubbedBytes"))) || ((data.digestedBytes === undefined) && (missing0 = "digestedBytes"))) || ((data.residentBytes === undefined) && (missing0 = "residentBytes"))) || ((data.cpuMicroseconds === undefined) && (missing0 = "cpuMicroseconds"))){
validate69.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.time !== undefined){
let data0 = data.time;
const _errs1 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate69.errors = [{instancePath:instancePath+"/time",schemaPath:"#/properties/time/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs1){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 9007199254740991 || isNaN(data0)){
validate69.errors = [{instancePath:instancePath+"/time",schemaPath:"#/properties/time/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data0 < -9007199254740991 || isNaN(data0)){
validate69.errors = [{instancePath:instancePath+"/time",schemaPath:"#/properties/time/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.bucketsMicroseconds !== undefined){
let data1 = data.bucketsMicroseconds;
const _errs3 = errors;
if(errors === _errs3){
if(Array.isArray(data1)){
var valid1 = true;
const len0 = data1.length;
for(let i0=0; i0<len0; i0++){
let data2 = data1[i0];
const _errs5 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate69.errors = [{instancePath:instancePath+"/bucketsMicroseconds/" + i0,schemaPath:"#/properties/bucketsMicroseconds/items/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs5){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate69.errors = [{instancePath:instancePath+"/bucketsMicroseconds/" + i0,schemaPath:"#/properties/bucketsMicroseconds/items/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate69.errors = [{instancePath:instancePath+"/bucketsMicroseconds/" + i0,schemaPath:"#/properties/bucketsMicroseconds/items/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid1 = _errs5 === errors;
if(!valid1){
break;
}
}
}
else {
validate69.errors = [{instancePath:instancePath+"/bucketsMicroseconds",schemaPath:"#/properties/bucketsMicroseconds/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.methods !== undefined){
let data3 = data.methods;
const _errs7 = errors;
if(errors === _errs7){
if(Array.isArray(data3)){
var valid2 = true;
const len1 = data3.length;
for(let i1=0; i1<len1; i1++){
let data4 = data3[i1];
const _errs9 = errors;
const _errs10 = errors;
if(errors === _errs10){
if(data4 && typeof data4 == "object" && !Array.isArray(data4)){
let missing1;
if((((((data4.method === undefined) && (missing1 = "method")) || ((data4.calls === undefined) && (missing1 = "calls"))) || ((data4.errors === undefined) && (missing1 = "errors"))) || ((data4.totalMicroseconds === undefined) && (missing1 = "totalMicroseconds"))) || ((data4.latency === undefined) && (missing1 = "latency"))){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1,schemaPath:"#/definitions/MethodStatistics/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data4.method !== undefined){
const _errs12 = errors;
if(typeof data4.method !== "string"){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/method",schemaPath:"#/definitions/MethodStatistics/properties/method/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid4 = _errs12 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data4.calls !== undefined){
let data6 = data4.calls;
const _errs14 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/calls",schemaPath:"#/definitions/MethodStatistics/properties/calls/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs14){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/calls",schemaPath:"#/definitions/MethodStatistics/properties/calls/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/calls",schemaPath:"#/definitions/MethodStatistics/properties/calls/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs14 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data4.errors !== undefined){
let data7 = data4.errors;
const _errs16 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/errors",schemaPath:"#/definitions/MethodStatistics/properties/errors/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs16){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/errors",schemaPath:"#/definitions/MethodStatistics/properties/errors/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/errors",schemaPath:"#/definitions/MethodStatistics/properties/errors/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs16 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data4.totalMicroseconds !== undefined){
let data8 = data4.totalMicroseconds;
const _errs18 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/totalMicroseconds",schemaPath:"#/definitions/MethodStatistics/properties/totalMicroseconds/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/totalMicroseconds",schemaPath:"#/definitions/MethodStatistics/properties/totalMicroseconds/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/totalMicroseconds",schemaPath:"#/definitions/MethodStatistics/properties/totalMicroseconds/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs18 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data4.latency !== undefined){
let data9 = data4.latency;
const _errs20 = errors;
if(errors === _errs20){
if(Array.isArray(data9)){
var valid5 = true;
const len2 = data9.length;
for(let i2=0; i2<len2; i2++){
let data10 = data9[i2];
const _errs22 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/latency/" + i2,schemaPath:"#/definitions/MethodStatistics/properties/latency/items/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs22){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/latency/" + i2,schemaPath:"#/definitions/MethodStatistics/properties/latency/items/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/latency/" + i2,schemaPath:"#/definitions/MethodStatistics/properties/latency/items/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid5 = _errs22 === errors;
if(!valid5){
break;
}
}
}
else {
validate69.errors = [{instancePath:instancePath+"/methods/" + i1+"/latency",schemaPath:"#/definitions/MethodStatistics/properties/latency/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid4 = _errs20 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
}
else {
validate69.errors = [{instancePath:instancePath+"/methods/" + i1,schemaPath:"#/definitions/MethodStatistics/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid2 = _errs9 === errors;
if(!valid2){
break;
}
}
}
else {
validate69.errors = [{instancePath:instancePath+"/methods",schemaPath:"#/properties/methods/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.connections !== undefined){
let data11 = data.connections;
const _errs24 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate69.errors = [{instancePath:instancePath+"/connections",schemaPath:"#/properties/connections/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs24){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate69.errors = [{instancePath:instancePath+"/connections",schemaPath:"#/properties/connections/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate69.errors = [{instancePath:instancePath+"/connections",schemaPath:"#/properties/connections/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs24 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.events !== undefined){
let data12 = data.events;
const _errs26 = errors;
if(!(((typeof data12 == "number") && (!(data12 % 1) && !isNaN(data12))) && (isFinite(data12)))){
validate69.errors = [{instancePath:instancePath+"/events",schemaPath:"#/properties/events/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs26){
if((typeof data12 == "number") && (isFinite(data12))){
if(data12 > 9007199254740991 || isNaN(data12)){
validate69.errors = [{instancePath:instancePath+"/events",schemaPath:"#/properties/events/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data12 < -9007199254740991 || isNaN(data12)){
validate69.errors = [{instancePath:instancePath+"/events",schemaPath:"#/properties/events/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs26 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.eventsMissed !== undefined){
let data13 = data.eventsMissed;
const _errs28 = errors;
if(!(((typeof data13 == "number") && (!(data13 % 1) && !isNaN(data13))) && (isFinite(data13)))){
validate69.errors = [{instancePath:instancePath+"/eventsMissed",schemaPath:"#/properties/eventsMissed/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs28){
if((typeof data13 == "number") && (isFinite(data13))){
if(data13 > 9007199254740991 || isNaN(data13)){
validate69.errors = [{instancePath:instancePath+"/eventsMissed",schemaPath:"#/properties/eventsMissed/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data13 < -9007199254740991 || isNaN(data13)){
validate69.errors = [{instancePath:instancePath+"/eventsMissed",schemaPath:"#/properties/eventsMissed/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs28 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.scrubbedBytes !== undefined){
let data14 = data.scrubbedBytes;
const _errs30 = errors;
if(!(((typeof data14 == "number") && (!(data14 % 1) && !isNaN(data14))) && (isFinite(data14)))){
validate69.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs30){
if((typeof data14 == "number") && (isFinite(data14))){
if(data14 > 9007199254740991 || isNaN(data14)){
validate69.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data14 < -9007199254740991 || isNaN(data14)){
validate69.errors = [{instancePath:instancePath+"/scrubbedBytes",schemaPath:"#/properties/scrubbedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs30 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.digestedBytes !== undefined){
let data15 = data.digestedBytes;
const _errs32 = errors;
if(!(((typeof data15 == "number") && (!(data15 % 1) && !isNaN(data15))) && (isFinite(data15)))){
validate69.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs32){
if((typeof data15 == "number") && (isFinite(data15))){
if(data15 > 9007199254740991 || isNaN(data15)){
validate69.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data15 < -9007199254740991 || isNaN(data15)){
validate69.errors = [{instancePath:instancePath+"/digestedBytes",schemaPath:"#/properties/digestedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs32 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.residentBytes !== undefined){
let data16 = data.residentBytes;
const _errs34 = errors;
if(!(((typeof data16 == "number") && (!(data16 % 1) && !isNaN(data16))) && (isFinite(data16)))){
validate69.errors = [{instancePath:instancePath+"/residentBytes",schemaPath:"#/properties/residentBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs34){
if((typeof data16 == "number") && (isFinite(data16))){
if(data16 > 9007199254740991 || isNaN(data16)){
validate69.errors = [{instancePath:instancePath+"/residentBytes",schemaPath:"#/properties/residentBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data16 < -9007199254740991 || isNaN(data16)){
validate69.errors = [{instancePath:instancePath+"/residentBytes",schemaPath:"#/properties/residentBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs34 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.cpuMicroseconds !== undefined){
let data17 = data.cpuMicroseconds;
const _errs36 = errors;
if(!(((typeof data17 == "number") && (!(data17 % 1) && !isNaN(data17))) && (isFinite(data17)))){
validate69.errors = [{instancePath:instancePath+"/cpuMicroseconds",schemaPath:"#/properties/cpuMicroseconds/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs36){
if((typeof data17 == "number") && (isFinite(data17))){
if(data17 > 9007199254740991 || isNaN(data17)){
validate69.errors = [{instancePath:instancePath+"/cpuMicroseconds",schemaPath:"#/properties/cpuMicroseconds/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data17 < -9007199254740991 || isNaN(data17)){
validate69.errors = [{instancePath:instancePath+"/cpuMicroseconds",schemaPath:"#/properties/cpuMicroseconds/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs36 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate69.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate69.errors = vErrors;
return errors === 0;
}

const ReadAllocationOut = validate70;
const schema72 = {"type":"object","properties":{"data":{"type":"string"}},"required":["data"]};

function validate70(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.data === undefined) && (missing0 = "data")){
validate70.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.data !== undefined){
if(typeof data.data !== "string"){
validate70.errors = [{instancePath:instancePath+"/data",schemaPath:"#/properties/data/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate70.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate70.errors = vErrors;
return errors === 0;
}

const OpenConsoleOut = validate71;
const schema73 = {"type":"object","properties":{"url":{"type":"string"}},"required":["url"]};

function validate71(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.url === undefined) && (missing0 = "url")){
validate71.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.url !== undefined){
if(typeof data.url !== "string"){
validate71.errors = [{instancePath:instancePath+"/url",schemaPath:"#/properties/url/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate71.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate71.errors = vErrors;
return errors === 0;
}

const ReloadOut = validate72;
const schema74 = {"type":"object","properties":{"changed":{"type":"array","items":{"type":"string"}},"needsRestart":{"type":"array","items":{"type":"string"}}},"required":["changed","needsRestart"]};

function validate72(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.changed === undefined) && (missing0 = "changed")) || ((data.needsRestart === undefined) && (missing0 = "needsRestart"))){
validate72.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.changed !== undefined){
let data0 = data.changed;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
const _errs3 = errors;
if(typeof data0[i0] !== "string"){
validate72.errors = [{instancePath:instancePath+"/changed/" + i0,schemaPath:"#/properties/changed/items/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate72.errors = [{instancePath:instancePath+"/changed",schemaPath:"#/properties/changed/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.needsRestart !== undefined){
let data2 = data.needsRestart;
const _errs5 = errors;
if(errors === _errs5){
if(Array.isArray(data2)){
var valid2 = true;
const len1 = data2.length;
for(let i1=0; i1<len1; i1++){
const _errs7 = errors;
if(typeof data2[i1] !== "string"){
validate72.errors = [{instancePath:instancePath+"/needsRestart/" + i1,schemaPath:"#/properties/needsRestart/items/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid2 = _errs7 === errors;
if(!valid2){
break;
}
}
}
else {
validate72.errors = [{instancePath:instancePath+"/needsRestart",schemaPath:"#/properties/needsRestart/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate72.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate72.errors = vErrors;
return errors === 0;
}

const SetLogLevelOut = validate73;
const schema75 = {"type":"object","properties":{}};

function validate73(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(!(data && typeof data == "object" && !Array.isArray(data))){
validate73.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate73.errors = vErrors;
return errors === 0;
}

const WatchOut = validate74;
const schema76 = {"type":"object","properties":{"allocations":{"type":["array","null"],"items":{"$ref":"#/definitions/Allocation"}},"mappings":{"type":["array","null"],"items":{"$ref":"#/definitions/Mapping"}},"snapshotEnd":{"type":["boolean","null"]},"event":{"anyOf":[{"$ref":"#/definitions/Event"},{"type":"null"}]},"missed":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991}}};
const schema78 = {"description":"A change. sequence counts up by one per change since the broker started.","type":"object","properties":{"sequence":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"time":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"kind":{"type":"string","enum":["allocated","grown","changed","claimed","released","mapped","revokeRequested","revokeStep","revoked","dormant","retired","quarantined","reclaimed","tampered","poisoned","verified","connected","disconnected","frozen","thawed","range","reloaded"]},"allocation":{"type":["string","null"]},"mapping":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"range":{"type":["string","null"]},"uid":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"pid":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"offset":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"bytes":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"access":{"type":["string","null"],"enum":["read","readWrite",null]},"guestAddress":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"deadline":{"type":["integer","null"],"minimum":-9007199254740991,"maximum":9007199254740991},"detail":{"type":["string","null"]}},"required":["sequence","time","kind"]};

function validate74(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
if(data.allocations !== undefined){
let data0 = data.allocations;
const _errs1 = errors;
if((!(Array.isArray(data0))) && (data0 !== null)){
validate74.errors = [{instancePath:instancePath+"/allocations",schemaPath:"#/properties/allocations/type",keyword:"type",params:{type: schema76.properties.allocations.type}}];
return false;
}
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
const _errs3 = errors;
if(!(validate43(data0[i0], {instancePath:instancePath+"/allocations/" + i0,parentData:data0,parentDataProperty:i0,rootData}))){
vErrors = vErrors === null ? validate43.errors : vErrors.concat(validate43.errors);
errors = vErrors.length;
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.mappings !== undefined){
let data2 = data.mappings;
const _errs4 = errors;
if((!(Array.isArray(data2))) && (data2 !== null)){
validate74.errors = [{instancePath:instancePath+"/mappings",schemaPath:"#/properties/mappings/type",keyword:"type",params:{type: schema76.properties.mappings.type}}];
return false;
}
if(errors === _errs4){
if(Array.isArray(data2)){
var valid2 = true;
const len1 = data2.length;
for(let i1=0; i1<len1; i1++){
let data3 = data2[i1];
const _errs6 = errors;
const _errs7 = errors;
if(errors === _errs7){
if(data3 && typeof data3 == "object" && !Array.isArray(data3)){
let missing0;
if((((((((data3.id === undefined) && (missing0 = "id")) || ((data3.allocation === undefined) && (missing0 = "allocation"))) || ((data3.offset === undefined) && (missing0 = "offset"))) || ((data3.length === undefined) && (missing0 = "length"))) || ((data3.access === undefined) && (missing0 = "access"))) || ((data3.uid === undefined) && (missing0 = "uid"))) || ((data3.state === undefined) && (missing0 = "state"))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1,schemaPath:"#/definitions/Mapping/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data3.id !== undefined){
let data4 = data3.id;
const _errs9 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/id",schemaPath:"#/definitions/Mapping/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/id",schemaPath:"#/definitions/Mapping/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/id",schemaPath:"#/definitions/Mapping/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs9 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.allocation !== undefined){
const _errs11 = errors;
if(typeof data3.allocation !== "string"){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/allocation",schemaPath:"#/definitions/Mapping/properties/allocation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid4 = _errs11 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.offset !== undefined){
let data6 = data3.offset;
const _errs13 = errors;
if(!(((typeof data6 == "number") && (!(data6 % 1) && !isNaN(data6))) && (isFinite(data6)))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs13){
if((typeof data6 == "number") && (isFinite(data6))){
if(data6 > 9007199254740991 || isNaN(data6)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data6 < -9007199254740991 || isNaN(data6)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/offset",schemaPath:"#/definitions/Mapping/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs13 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.length !== undefined){
let data7 = data3.length;
const _errs15 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/length",schemaPath:"#/definitions/Mapping/properties/length/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs15){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/length",schemaPath:"#/definitions/Mapping/properties/length/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/length",schemaPath:"#/definitions/Mapping/properties/length/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs15 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.access !== undefined){
let data8 = data3.access;
const _errs17 = errors;
if(typeof data8 !== "string"){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/access",schemaPath:"#/definitions/Mapping/properties/access/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!((data8 === "read") || (data8 === "readWrite"))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/access",schemaPath:"#/definitions/Mapping/properties/access/enum",keyword:"enum",params:{allowedValues: schema50.properties.access.enum}}];
return false;
}
var valid4 = _errs17 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.guestAddress !== undefined){
let data9 = data3.guestAddress;
const _errs19 = errors;
if((!(((typeof data9 == "number") && (!(data9 % 1) && !isNaN(data9))) && (isFinite(data9)))) && (data9 !== null)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/type",keyword:"type",params:{type: schema50.properties.guestAddress.type}}];
return false;
}
if(errors === _errs19){
if((typeof data9 == "number") && (isFinite(data9))){
if(data9 > 9007199254740991 || isNaN(data9)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data9 < -9007199254740991 || isNaN(data9)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/guestAddress",schemaPath:"#/definitions/Mapping/properties/guestAddress/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs19 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.metadata !== undefined){
let data10 = data3.metadata;
const _errs21 = errors;
if((!(data10 && typeof data10 == "object" && !Array.isArray(data10))) && (data10 !== null)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/metadata",schemaPath:"#/definitions/Mapping/properties/metadata/type",keyword:"type",params:{type: schema50.properties.metadata.type}}];
return false;
}
var valid4 = _errs21 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.uid !== undefined){
let data11 = data3.uid;
const _errs23 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs23){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/uid",schemaPath:"#/definitions/Mapping/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs23 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.pid !== undefined){
let data12 = data3.pid;
const _errs25 = errors;
if((!(((typeof data12 == "number") && (!(data12 % 1) && !isNaN(data12))) && (isFinite(data12)))) && (data12 !== null)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/type",keyword:"type",params:{type: schema50.properties.pid.type}}];
return false;
}
if(errors === _errs25){
if((typeof data12 == "number") && (isFinite(data12))){
if(data12 > 9007199254740991 || isNaN(data12)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data12 < -9007199254740991 || isNaN(data12)){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/pid",schemaPath:"#/definitions/Mapping/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid4 = _errs25 === errors;
}
else {
var valid4 = true;
}
if(valid4){
if(data3.state !== undefined){
let data13 = data3.state;
const _errs27 = errors;
if(typeof data13 !== "string"){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/state",schemaPath:"#/definitions/Mapping/properties/state/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data13 === "held") || (data13 === "dormant")) || (data13 === "revoking"))){
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1+"/state",schemaPath:"#/definitions/Mapping/properties/state/enum",keyword:"enum",params:{allowedValues: schema50.properties.state.enum}}];
return false;
}
var valid4 = _errs27 === errors;
}
else {
var valid4 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate74.errors = [{instancePath:instancePath+"/mappings/" + i1,schemaPath:"#/definitions/Mapping/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid2 = _errs6 === errors;
if(!valid2){
break;
}
}
}
}
var valid0 = _errs4 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.snapshotEnd !== undefined){
let data14 = data.snapshotEnd;
const _errs29 = errors;
if((typeof data14 !== "boolean") && (data14 !== null)){
validate74.errors = [{instancePath:instancePath+"/snapshotEnd",schemaPath:"#/properties/snapshotEnd/type",keyword:"type",params:{type: schema76.properties.snapshotEnd.type}}];
return false;
}
var valid0 = _errs29 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.event !== undefined){
let data15 = data.event;
const _errs31 = errors;
const _errs32 = errors;
let valid5 = false;
const _errs33 = errors;
const _errs34 = errors;
if(errors === _errs34){
if(data15 && typeof data15 == "object" && !Array.isArray(data15)){
let missing1;
if((((data15.sequence === undefined) && (missing1 = "sequence")) || ((data15.time === undefined) && (missing1 = "time"))) || ((data15.kind === undefined) && (missing1 = "kind"))){
const err0 = {instancePath:instancePath+"/event",schemaPath:"#/definitions/Event/required",keyword:"required",params:{missingProperty: missing1}};
if(vErrors === null){
vErrors = [err0];
}
else {
vErrors.push(err0);
}
errors++;
}
else {
if(data15.sequence !== undefined){
let data16 = data15.sequence;
const _errs36 = errors;
if(!(((typeof data16 == "number") && (!(data16 % 1) && !isNaN(data16))) && (isFinite(data16)))){
const err1 = {instancePath:instancePath+"/event/sequence",schemaPath:"#/definitions/Event/properties/sequence/type",keyword:"type",params:{type: "integer"}};
if(vErrors === null){
vErrors = [err1];
}
else {
vErrors.push(err1);
}
errors++;
}
if(errors === _errs36){
if((typeof data16 == "number") && (isFinite(data16))){
if(data16 > 9007199254740991 || isNaN(data16)){
const err2 = {instancePath:instancePath+"/event/sequence",schemaPath:"#/definitions/Event/properties/sequence/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err2];
}
else {
vErrors.push(err2);
}
errors++;
}
else {
if(data16 < -9007199254740991 || isNaN(data16)){
const err3 = {instancePath:instancePath+"/event/sequence",schemaPath:"#/definitions/Event/properties/sequence/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err3];
}
else {
vErrors.push(err3);
}
errors++;
}
}
}
}
var valid7 = _errs36 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.time !== undefined){
let data17 = data15.time;
const _errs38 = errors;
if(!(((typeof data17 == "number") && (!(data17 % 1) && !isNaN(data17))) && (isFinite(data17)))){
const err4 = {instancePath:instancePath+"/event/time",schemaPath:"#/definitions/Event/properties/time/type",keyword:"type",params:{type: "integer"}};
if(vErrors === null){
vErrors = [err4];
}
else {
vErrors.push(err4);
}
errors++;
}
if(errors === _errs38){
if((typeof data17 == "number") && (isFinite(data17))){
if(data17 > 9007199254740991 || isNaN(data17)){
const err5 = {instancePath:instancePath+"/event/time",schemaPath:"#/definitions/Event/properties/time/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err5];
}
else {
vErrors.push(err5);
}
errors++;
}
else {
if(data17 < -9007199254740991 || isNaN(data17)){
const err6 = {instancePath:instancePath+"/event/time",schemaPath:"#/definitions/Event/properties/time/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err6];
}
else {
vErrors.push(err6);
}
errors++;
}
}
}
}
var valid7 = _errs38 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.kind !== undefined){
let data18 = data15.kind;
const _errs40 = errors;
if(typeof data18 !== "string"){
const err7 = {instancePath:instancePath+"/event/kind",schemaPath:"#/definitions/Event/properties/kind/type",keyword:"type",params:{type: "string"}};
if(vErrors === null){
vErrors = [err7];
}
else {
vErrors.push(err7);
}
errors++;
}
if(!((((((((((((((((((((((data18 === "allocated") || (data18 === "grown")) || (data18 === "changed")) || (data18 === "claimed")) || (data18 === "released")) || (data18 === "mapped")) || (data18 === "revokeRequested")) || (data18 === "revokeStep")) || (data18 === "revoked")) || (data18 === "dormant")) || (data18 === "retired")) || (data18 === "quarantined")) || (data18 === "reclaimed")) || (data18 === "tampered")) || (data18 === "poisoned")) || (data18 === "verified")) || (data18 === "connected")) || (data18 === "disconnected")) || (data18 === "frozen")) || (data18 === "thawed")) || (data18 === "range")) || (data18 === "reloaded"))){
const err8 = {instancePath:instancePath+"/event/kind",schemaPath:"#/definitions/Event/properties/kind/enum",keyword:"enum",params:{allowedValues: schema78.properties.kind.enum}};
if(vErrors === null){
vErrors = [err8];
}
else {
vErrors.push(err8);
}
errors++;
}
var valid7 = _errs40 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.allocation !== undefined){
let data19 = data15.allocation;
const _errs42 = errors;
if((typeof data19 !== "string") && (data19 !== null)){
const err9 = {instancePath:instancePath+"/event/allocation",schemaPath:"#/definitions/Event/properties/allocation/type",keyword:"type",params:{type: schema78.properties.allocation.type}};
if(vErrors === null){
vErrors = [err9];
}
else {
vErrors.push(err9);
}
errors++;
}
var valid7 = _errs42 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.mapping !== undefined){
let data20 = data15.mapping;
const _errs44 = errors;
if((!(((typeof data20 == "number") && (!(data20 % 1) && !isNaN(data20))) && (isFinite(data20)))) && (data20 !== null)){
const err10 = {instancePath:instancePath+"/event/mapping",schemaPath:"#/definitions/Event/properties/mapping/type",keyword:"type",params:{type: schema78.properties.mapping.type}};
if(vErrors === null){
vErrors = [err10];
}
else {
vErrors.push(err10);
}
errors++;
}
if(errors === _errs44){
if((typeof data20 == "number") && (isFinite(data20))){
if(data20 > 9007199254740991 || isNaN(data20)){
const err11 = {instancePath:instancePath+"/event/mapping",schemaPath:"#/definitions/Event/properties/mapping/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err11];
}
else {
vErrors.push(err11);
}
errors++;
}
else {
if(data20 < -9007199254740991 || isNaN(data20)){
const err12 = {instancePath:instancePath+"/event/mapping",schemaPath:"#/definitions/Event/properties/mapping/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err12];
}
else {
vErrors.push(err12);
}
errors++;
}
}
}
}
var valid7 = _errs44 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.range !== undefined){
let data21 = data15.range;
const _errs46 = errors;
if((typeof data21 !== "string") && (data21 !== null)){
const err13 = {instancePath:instancePath+"/event/range",schemaPath:"#/definitions/Event/properties/range/type",keyword:"type",params:{type: schema78.properties.range.type}};
if(vErrors === null){
vErrors = [err13];
}
else {
vErrors.push(err13);
}
errors++;
}
var valid7 = _errs46 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.uid !== undefined){
let data22 = data15.uid;
const _errs48 = errors;
if((!(((typeof data22 == "number") && (!(data22 % 1) && !isNaN(data22))) && (isFinite(data22)))) && (data22 !== null)){
const err14 = {instancePath:instancePath+"/event/uid",schemaPath:"#/definitions/Event/properties/uid/type",keyword:"type",params:{type: schema78.properties.uid.type}};
if(vErrors === null){
vErrors = [err14];
}
else {
vErrors.push(err14);
}
errors++;
}
if(errors === _errs48){
if((typeof data22 == "number") && (isFinite(data22))){
if(data22 > 9007199254740991 || isNaN(data22)){
const err15 = {instancePath:instancePath+"/event/uid",schemaPath:"#/definitions/Event/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err15];
}
else {
vErrors.push(err15);
}
errors++;
}
else {
if(data22 < -9007199254740991 || isNaN(data22)){
const err16 = {instancePath:instancePath+"/event/uid",schemaPath:"#/definitions/Event/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err16];
}
else {
vErrors.push(err16);
}
errors++;
}
}
}
}
var valid7 = _errs48 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.pid !== undefined){
let data23 = data15.pid;
const _errs50 = errors;
if((!(((typeof data23 == "number") && (!(data23 % 1) && !isNaN(data23))) && (isFinite(data23)))) && (data23 !== null)){
const err17 = {instancePath:instancePath+"/event/pid",schemaPath:"#/definitions/Event/properties/pid/type",keyword:"type",params:{type: schema78.properties.pid.type}};
if(vErrors === null){
vErrors = [err17];
}
else {
vErrors.push(err17);
}
errors++;
}
if(errors === _errs50){
if((typeof data23 == "number") && (isFinite(data23))){
if(data23 > 9007199254740991 || isNaN(data23)){
const err18 = {instancePath:instancePath+"/event/pid",schemaPath:"#/definitions/Event/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err18];
}
else {
vErrors.push(err18);
}
errors++;
}
else {
if(data23 < -9007199254740991 || isNaN(data23)){
const err19 = {instancePath:instancePath+"/event/pid",schemaPath:"#/definitions/Event/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err19];
}
else {
vErrors.push(err19);
}
errors++;
}
}
}
}
var valid7 = _errs50 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.offset !== undefined){
let data24 = data15.offset;
const _errs52 = errors;
if((!(((typeof data24 == "number") && (!(data24 % 1) && !isNaN(data24))) && (isFinite(data24)))) && (data24 !== null)){
const err20 = {instancePath:instancePath+"/event/offset",schemaPath:"#/definitions/Event/properties/offset/type",keyword:"type",params:{type: schema78.properties.offset.type}};
if(vErrors === null){
vErrors = [err20];
}
else {
vErrors.push(err20);
}
errors++;
}
if(errors === _errs52){
if((typeof data24 == "number") && (isFinite(data24))){
if(data24 > 9007199254740991 || isNaN(data24)){
const err21 = {instancePath:instancePath+"/event/offset",schemaPath:"#/definitions/Event/properties/offset/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err21];
}
else {
vErrors.push(err21);
}
errors++;
}
else {
if(data24 < -9007199254740991 || isNaN(data24)){
const err22 = {instancePath:instancePath+"/event/offset",schemaPath:"#/definitions/Event/properties/offset/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err22];
}
else {
vErrors.push(err22);
}
errors++;
}
}
}
}
var valid7 = _errs52 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.bytes !== undefined){
let data25 = data15.bytes;
const _errs54 = errors;
if((!(((typeof data25 == "number") && (!(data25 % 1) && !isNaN(data25))) && (isFinite(data25)))) && (data25 !== null)){
const err23 = {instancePath:instancePath+"/event/bytes",schemaPath:"#/definitions/Event/properties/bytes/type",keyword:"type",params:{type: schema78.properties.bytes.type}};
if(vErrors === null){
vErrors = [err23];
}
else {
vErrors.push(err23);
}
errors++;
}
if(errors === _errs54){
if((typeof data25 == "number") && (isFinite(data25))){
if(data25 > 9007199254740991 || isNaN(data25)){
const err24 = {instancePath:instancePath+"/event/bytes",schemaPath:"#/definitions/Event/properties/bytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err24];
}
else {
vErrors.push(err24);
}
errors++;
}
else {
if(data25 < -9007199254740991 || isNaN(data25)){
const err25 = {instancePath:instancePath+"/event/bytes",schemaPath:"#/definitions/Event/properties/bytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err25];
}
else {
vErrors.push(err25);
}
errors++;
}
}
}
}
var valid7 = _errs54 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.access !== undefined){
let data26 = data15.access;
const _errs56 = errors;
if((typeof data26 !== "string") && (data26 !== null)){
const err26 = {instancePath:instancePath+"/event/access",schemaPath:"#/definitions/Event/properties/access/type",keyword:"type",params:{type: schema78.properties.access.type}};
if(vErrors === null){
vErrors = [err26];
}
else {
vErrors.push(err26);
}
errors++;
}
if(!(((data26 === "read") || (data26 === "readWrite")) || (data26 === null))){
const err27 = {instancePath:instancePath+"/event/access",schemaPath:"#/definitions/Event/properties/access/enum",keyword:"enum",params:{allowedValues: schema78.properties.access.enum}};
if(vErrors === null){
vErrors = [err27];
}
else {
vErrors.push(err27);
}
errors++;
}
var valid7 = _errs56 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.guestAddress !== undefined){
let data27 = data15.guestAddress;
const _errs58 = errors;
if((!(((typeof data27 == "number") && (!(data27 % 1) && !isNaN(data27))) && (isFinite(data27)))) && (data27 !== null)){
const err28 = {instancePath:instancePath+"/event/guestAddress",schemaPath:"#/definitions/Event/properties/guestAddress/type",keyword:"type",params:{type: schema78.properties.guestAddress.type}};
if(vErrors === null){
vErrors = [err28];
}
else {
vErrors.push(err28);
}
errors++;
}
if(errors === _errs58){
if((typeof data27 == "number") && (isFinite(data27))){
if(data27 > 9007199254740991 || isNaN(data27)){
const err29 = {instancePath:instancePath+"/event/guestAddress",schemaPath:"#/definitions/Event/properties/guestAddress/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err29];
}
else {
vErrors.push(err29);
}
errors++;
}
else {
if(data27 < -9007199254740991 || isNaN(data27)){
const err30 = {instancePath:instancePath+"/event/guestAddress",schemaPath:"#/definitions/Event/properties/guestAddress/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err30];
}
else {
vErrors.push(err30);
}
errors++;
}
}
}
}
var valid7 = _errs58 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.deadline !== undefined){
let data28 = data15.deadline;
const _errs60 = errors;
if((!(((typeof data28 == "number") && (!(data28 % 1) && !isNaN(data28))) && (isFinite(data28)))) && (data28 !== null)){
const err31 = {instancePath:instancePath+"/event/deadline",schemaPath:"#/definitions/Event/properties/deadline/type",keyword:"type",params:{type: schema78.properties.deadline.type}};
if(vErrors === null){
vErrors = [err31];
}
else {
vErrors.push(err31);
}
errors++;
}
if(errors === _errs60){
if((typeof data28 == "number") && (isFinite(data28))){
if(data28 > 9007199254740991 || isNaN(data28)){
const err32 = {instancePath:instancePath+"/event/deadline",schemaPath:"#/definitions/Event/properties/deadline/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}};
if(vErrors === null){
vErrors = [err32];
}
else {
vErrors.push(err32);
}
errors++;
}
else {
if(data28 < -9007199254740991 || isNaN(data28)){
const err33 = {instancePath:instancePath+"/event/deadline",schemaPath:"#/definitions/Event/properties/deadline/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}};
if(vErrors === null){
vErrors = [err33];
}
else {
vErrors.push(err33);
}
errors++;
}
}
}
}
var valid7 = _errs60 === errors;
}
else {
var valid7 = true;
}
if(valid7){
if(data15.detail !== undefined){
let data29 = data15.detail;
const _errs62 = errors;
if((typeof data29 !== "string") && (data29 !== null)){
const err34 = {instancePath:instancePath+"/event/detail",schemaPath:"#/definitions/Event/properties/detail/type",keyword:"type",params:{type: schema78.properties.detail.type}};
if(vErrors === null){
vErrors = [err34];
}
else {
vErrors.push(err34);
}
errors++;
}
var valid7 = _errs62 === errors;
}
else {
var valid7 = true;
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
}
else {
const err35 = {instancePath:instancePath+"/event",schemaPath:"#/definitions/Event/type",keyword:"type",params:{type: "object"}};
if(vErrors === null){
vErrors = [err35];
}
else {
vErrors.push(err35);
}
errors++;
}
}
var _valid0 = _errs33 === errors;
valid5 = valid5 || _valid0;
if(!valid5){
const _errs64 = errors;
if(data15 !== null){
const err36 = {instancePath:instancePath+"/event",schemaPath:"#/properties/event/anyOf/1/type",keyword:"type",params:{type: "null"}};
if(vErrors === null){
vErrors = [err36];
}
else {
vErrors.push(err36);
}
errors++;
}
var _valid0 = _errs64 === errors;
valid5 = valid5 || _valid0;
}
if(!valid5){
const err37 = {instancePath:instancePath+"/event",schemaPath:"#/properties/event/anyOf",keyword:"anyOf",params:{}};
if(vErrors === null){
vErrors = [err37];
}
else {
vErrors.push(err37);
}
errors++;
validate74.errors = vErrors;
return false;
}
else {
errors = _errs32;
if(vErrors !== null){
if(_errs32){
vErrors.length = _errs32;
}
else {
vErrors = null;
}
}
}
var valid0 = _errs31 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.missed !== undefined){
let data30 = data.missed;
const _errs66 = errors;
if((!(((typeof data30 == "number") && (!(data30 % 1) && !isNaN(data30))) && (isFinite(data30)))) && (data30 !== null)){
validate74.errors = [{instancePath:instancePath+"/missed",schemaPath:"#/properties/missed/type",keyword:"type",params:{type: schema76.properties.missed.type}}];
return false;
}
if(errors === _errs66){
if((typeof data30 == "number") && (isFinite(data30))){
if(data30 > 9007199254740991 || isNaN(data30)){
validate74.errors = [{instancePath:instancePath+"/missed",schemaPath:"#/properties/missed/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data30 < -9007199254740991 || isNaN(data30)){
validate74.errors = [{instancePath:instancePath+"/missed",schemaPath:"#/properties/missed/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs66 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate74.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate74.errors = vErrors;
return errors === 0;
}

const ListClientsOut = validate76;
const schema79 = {"type":"object","properties":{"clients":{"type":"array","items":{"$ref":"#/definitions/Client"}}},"required":["clients"]};
const schema80 = {"description":"A connected process, and what it holds.","type":"object","properties":{"id":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"pid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"gid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"command":{"type":"string"},"connectedAt":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"calls":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"watching":{"type":"boolean"},"allocations":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"mappings":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["id","pid","uid","gid","command","connectedAt","calls","watching","allocations","mappings"]};

function validate76(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.clients === undefined) && (missing0 = "clients")){
validate76.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.clients !== undefined){
let data0 = data.clients;
const _errs1 = errors;
if(errors === _errs1){
if(Array.isArray(data0)){
var valid1 = true;
const len0 = data0.length;
for(let i0=0; i0<len0; i0++){
let data1 = data0[i0];
const _errs3 = errors;
const _errs4 = errors;
if(errors === _errs4){
if(data1 && typeof data1 == "object" && !Array.isArray(data1)){
let missing1;
if(((((((((((data1.id === undefined) && (missing1 = "id")) || ((data1.pid === undefined) && (missing1 = "pid"))) || ((data1.uid === undefined) && (missing1 = "uid"))) || ((data1.gid === undefined) && (missing1 = "gid"))) || ((data1.command === undefined) && (missing1 = "command"))) || ((data1.connectedAt === undefined) && (missing1 = "connectedAt"))) || ((data1.calls === undefined) && (missing1 = "calls"))) || ((data1.watching === undefined) && (missing1 = "watching"))) || ((data1.allocations === undefined) && (missing1 = "allocations"))) || ((data1.mappings === undefined) && (missing1 = "mappings"))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0,schemaPath:"#/definitions/Client/required",keyword:"required",params:{missingProperty: missing1}}];
return false;
}
else {
if(data1.id !== undefined){
let data2 = data1.id;
const _errs6 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/id",schemaPath:"#/definitions/Client/properties/id/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs6){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/id",schemaPath:"#/definitions/Client/properties/id/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/id",schemaPath:"#/definitions/Client/properties/id/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs6 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.pid !== undefined){
let data3 = data1.pid;
const _errs8 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/pid",schemaPath:"#/definitions/Client/properties/pid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs8){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/pid",schemaPath:"#/definitions/Client/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/pid",schemaPath:"#/definitions/Client/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs8 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.uid !== undefined){
let data4 = data1.uid;
const _errs10 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/uid",schemaPath:"#/definitions/Client/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs10){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/uid",schemaPath:"#/definitions/Client/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/uid",schemaPath:"#/definitions/Client/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs10 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.gid !== undefined){
let data5 = data1.gid;
const _errs12 = errors;
if(!(((typeof data5 == "number") && (!(data5 % 1) && !isNaN(data5))) && (isFinite(data5)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/gid",schemaPath:"#/definitions/Client/properties/gid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs12){
if((typeof data5 == "number") && (isFinite(data5))){
if(data5 > 9007199254740991 || isNaN(data5)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/gid",schemaPath:"#/definitions/Client/properties/gid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data5 < -9007199254740991 || isNaN(data5)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/gid",schemaPath:"#/definitions/Client/properties/gid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs12 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.command !== undefined){
const _errs14 = errors;
if(typeof data1.command !== "string"){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/command",schemaPath:"#/definitions/Client/properties/command/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid3 = _errs14 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.connectedAt !== undefined){
let data7 = data1.connectedAt;
const _errs16 = errors;
if(!(((typeof data7 == "number") && (!(data7 % 1) && !isNaN(data7))) && (isFinite(data7)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/connectedAt",schemaPath:"#/definitions/Client/properties/connectedAt/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs16){
if((typeof data7 == "number") && (isFinite(data7))){
if(data7 > 9007199254740991 || isNaN(data7)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/connectedAt",schemaPath:"#/definitions/Client/properties/connectedAt/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data7 < -9007199254740991 || isNaN(data7)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/connectedAt",schemaPath:"#/definitions/Client/properties/connectedAt/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs16 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.calls !== undefined){
let data8 = data1.calls;
const _errs18 = errors;
if(!(((typeof data8 == "number") && (!(data8 % 1) && !isNaN(data8))) && (isFinite(data8)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/calls",schemaPath:"#/definitions/Client/properties/calls/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs18){
if((typeof data8 == "number") && (isFinite(data8))){
if(data8 > 9007199254740991 || isNaN(data8)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/calls",schemaPath:"#/definitions/Client/properties/calls/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data8 < -9007199254740991 || isNaN(data8)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/calls",schemaPath:"#/definitions/Client/properties/calls/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs18 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.watching !== undefined){
const _errs20 = errors;
if(typeof data1.watching !== "boolean"){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/watching",schemaPath:"#/definitions/Client/properties/watching/type",keyword:"type",params:{type: "boolean"}}];
return false;
}
var valid3 = _errs20 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.allocations !== undefined){
let data10 = data1.allocations;
const _errs22 = errors;
if(!(((typeof data10 == "number") && (!(data10 % 1) && !isNaN(data10))) && (isFinite(data10)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/allocations",schemaPath:"#/definitions/Client/properties/allocations/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs22){
if((typeof data10 == "number") && (isFinite(data10))){
if(data10 > 9007199254740991 || isNaN(data10)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/allocations",schemaPath:"#/definitions/Client/properties/allocations/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data10 < -9007199254740991 || isNaN(data10)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/allocations",schemaPath:"#/definitions/Client/properties/allocations/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs22 === errors;
}
else {
var valid3 = true;
}
if(valid3){
if(data1.mappings !== undefined){
let data11 = data1.mappings;
const _errs24 = errors;
if(!(((typeof data11 == "number") && (!(data11 % 1) && !isNaN(data11))) && (isFinite(data11)))){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/mappings",schemaPath:"#/definitions/Client/properties/mappings/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs24){
if((typeof data11 == "number") && (isFinite(data11))){
if(data11 > 9007199254740991 || isNaN(data11)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/mappings",schemaPath:"#/definitions/Client/properties/mappings/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data11 < -9007199254740991 || isNaN(data11)){
validate76.errors = [{instancePath:instancePath+"/clients/" + i0+"/mappings",schemaPath:"#/definitions/Client/properties/mappings/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid3 = _errs24 === errors;
}
else {
var valid3 = true;
}
}
}
}
}
}
}
}
}
}
}
}
else {
validate76.errors = [{instancePath:instancePath+"/clients/" + i0,schemaPath:"#/definitions/Client/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
var valid1 = _errs3 === errors;
if(!valid1){
break;
}
}
}
else {
validate76.errors = [{instancePath:instancePath+"/clients",schemaPath:"#/properties/clients/type",keyword:"type",params:{type: "array"}}];
return false;
}
}
}
}
}
else {
validate76.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate76.errors = vErrors;
return errors === 0;
}

const NotFoundError = validate77;
const schema81 = {"description":"Nothing of that name or number that the caller may see. kind: allocation, mapping, range.","type":"object","properties":{"kind":{"type":"string"},"name":{"type":"string"}},"required":["kind","name"]};

function validate77(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.kind === undefined) && (missing0 = "kind")) || ((data.name === undefined) && (missing0 = "name"))){
validate77.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.kind !== undefined){
const _errs1 = errors;
if(typeof data.kind !== "string"){
validate77.errors = [{instancePath:instancePath+"/kind",schemaPath:"#/properties/kind/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.name !== undefined){
const _errs3 = errors;
if(typeof data.name !== "string"){
validate77.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate77.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate77.errors = vErrors;
return errors === 0;
}

const NameTakenError = validate78;
const schema82 = {"description":"The name is in use.","type":"object","properties":{"name":{"type":"string"}},"required":["name"]};

function validate78(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate78.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.name !== undefined){
if(typeof data.name !== "string"){
validate78.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate78.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate78.errors = vErrors;
return errors === 0;
}

const InvalidArgumentError = validate79;
const schema83 = {"description":"A value outside what the method takes; reason is a sentence.","type":"object","properties":{"parameter":{"type":"string"},"reason":{"type":"string"}},"required":["parameter","reason"]};

function validate79(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.parameter === undefined) && (missing0 = "parameter")) || ((data.reason === undefined) && (missing0 = "reason"))){
validate79.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.parameter !== undefined){
const _errs1 = errors;
if(typeof data.parameter !== "string"){
validate79.errors = [{instancePath:instancePath+"/parameter",schemaPath:"#/properties/parameter/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reason !== undefined){
const _errs3 = errors;
if(typeof data.reason !== "string"){
validate79.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate79.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate79.errors = vErrors;
return errors === 0;
}

const NoSpaceError = validate80;
const schema84 = {"description":"The range can't serve the request. largestFreeBytes tells fragmentation from exhaustion.","type":"object","properties":{"range":{"type":"string"},"requestedBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"freeBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"largestFreeBytes":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["range","requestedBytes","freeBytes","largestFreeBytes"]};

function validate80(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((data.range === undefined) && (missing0 = "range")) || ((data.requestedBytes === undefined) && (missing0 = "requestedBytes"))) || ((data.freeBytes === undefined) && (missing0 = "freeBytes"))) || ((data.largestFreeBytes === undefined) && (missing0 = "largestFreeBytes"))){
validate80.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.range !== undefined){
const _errs1 = errors;
if(typeof data.range !== "string"){
validate80.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.requestedBytes !== undefined){
let data1 = data.requestedBytes;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate80.errors = [{instancePath:instancePath+"/requestedBytes",schemaPath:"#/properties/requestedBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate80.errors = [{instancePath:instancePath+"/requestedBytes",schemaPath:"#/properties/requestedBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate80.errors = [{instancePath:instancePath+"/requestedBytes",schemaPath:"#/properties/requestedBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.freeBytes !== undefined){
let data2 = data.freeBytes;
const _errs5 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate80.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs5){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate80.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate80.errors = [{instancePath:instancePath+"/freeBytes",schemaPath:"#/properties/freeBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.largestFreeBytes !== undefined){
let data3 = data.largestFreeBytes;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate80.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate80.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate80.errors = [{instancePath:instancePath+"/largestFreeBytes",schemaPath:"#/properties/largestFreeBytes/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate80.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate80.errors = vErrors;
return errors === 0;
}

const QuotaExceededError = validate81;
const schema85 = {"type":"object","properties":{"uid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"resource":{"type":"string","enum":["bytes","allocations","mappings"]},"limit":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"used":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991},"requested":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["uid","resource","limit","used","requested"]};

function validate81(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((((((data.uid === undefined) && (missing0 = "uid")) || ((data.resource === undefined) && (missing0 = "resource"))) || ((data.limit === undefined) && (missing0 = "limit"))) || ((data.used === undefined) && (missing0 = "used"))) || ((data.requested === undefined) && (missing0 = "requested"))){
validate81.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.uid !== undefined){
let data0 = data.uid;
const _errs1 = errors;
if(!(((typeof data0 == "number") && (!(data0 % 1) && !isNaN(data0))) && (isFinite(data0)))){
validate81.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs1){
if((typeof data0 == "number") && (isFinite(data0))){
if(data0 > 9007199254740991 || isNaN(data0)){
validate81.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data0 < -9007199254740991 || isNaN(data0)){
validate81.errors = [{instancePath:instancePath+"/uid",schemaPath:"#/properties/uid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.resource !== undefined){
let data1 = data.resource;
const _errs3 = errors;
if(typeof data1 !== "string"){
validate81.errors = [{instancePath:instancePath+"/resource",schemaPath:"#/properties/resource/type",keyword:"type",params:{type: "string"}}];
return false;
}
if(!(((data1 === "bytes") || (data1 === "allocations")) || (data1 === "mappings"))){
validate81.errors = [{instancePath:instancePath+"/resource",schemaPath:"#/properties/resource/enum",keyword:"enum",params:{allowedValues: schema85.properties.resource.enum}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.limit !== undefined){
let data2 = data.limit;
const _errs5 = errors;
if(!(((typeof data2 == "number") && (!(data2 % 1) && !isNaN(data2))) && (isFinite(data2)))){
validate81.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs5){
if((typeof data2 == "number") && (isFinite(data2))){
if(data2 > 9007199254740991 || isNaN(data2)){
validate81.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data2 < -9007199254740991 || isNaN(data2)){
validate81.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.used !== undefined){
let data3 = data.used;
const _errs7 = errors;
if(!(((typeof data3 == "number") && (!(data3 % 1) && !isNaN(data3))) && (isFinite(data3)))){
validate81.errors = [{instancePath:instancePath+"/used",schemaPath:"#/properties/used/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs7){
if((typeof data3 == "number") && (isFinite(data3))){
if(data3 > 9007199254740991 || isNaN(data3)){
validate81.errors = [{instancePath:instancePath+"/used",schemaPath:"#/properties/used/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data3 < -9007199254740991 || isNaN(data3)){
validate81.errors = [{instancePath:instancePath+"/used",schemaPath:"#/properties/used/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.requested !== undefined){
let data4 = data.requested;
const _errs9 = errors;
if(!(((typeof data4 == "number") && (!(data4 % 1) && !isNaN(data4))) && (isFinite(data4)))){
validate81.errors = [{instancePath:instancePath+"/requested",schemaPath:"#/properties/requested/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs9){
if((typeof data4 == "number") && (isFinite(data4))){
if(data4 > 9007199254740991 || isNaN(data4)){
validate81.errors = [{instancePath:instancePath+"/requested",schemaPath:"#/properties/requested/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data4 < -9007199254740991 || isNaN(data4)){
validate81.errors = [{instancePath:instancePath+"/requested",schemaPath:"#/properties/requested/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs9 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
}
else {
validate81.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate81.errors = vErrors;
return errors === 0;
}

const PermissionDeniedError = validate82;
const schema86 = {"type":"object","properties":{"reason":{"type":"string"}},"required":["reason"]};

function validate82(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.reason === undefined) && (missing0 = "reason")){
validate82.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.reason !== undefined){
if(typeof data.reason !== "string"){
validate82.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate82.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate82.errors = vErrors;
return errors === 0;
}

const AlreadyClaimedError = validate83;
const schema87 = {"description":"Another living process holds it.","type":"object","properties":{"name":{"type":"string"},"pid":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["name","pid"]};

function validate83(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.name === undefined) && (missing0 = "name")) || ((data.pid === undefined) && (missing0 = "pid"))){
validate83.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.name !== undefined){
const _errs1 = errors;
if(typeof data.name !== "string"){
validate83.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.pid !== undefined){
let data1 = data.pid;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate83.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate83.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate83.errors = [{instancePath:instancePath+"/pid",schemaPath:"#/properties/pid/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate83.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate83.errors = vErrors;
return errors === 0;
}

const NotClaimedError = validate84;
const schema88 = {"description":"The caller's process does not hold it; Claim first.","type":"object","properties":{"name":{"type":"string"}},"required":["name"]};

function validate84(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.name === undefined) && (missing0 = "name")){
validate84.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.name !== undefined){
if(typeof data.name !== "string"){
validate84.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate84.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate84.errors = vErrors;
return errors === 0;
}

const FrozenError = validate85;
const schema89 = {"type":"object","properties":{"reason":{"type":"string"}},"required":["reason"]};

function validate85(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.reason === undefined) && (missing0 = "reason")){
validate85.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.reason !== undefined){
if(typeof data.reason !== "string"){
validate85.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate85.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate85.errors = vErrors;
return errors === 0;
}

const RangeReadOnlyError = validate86;
const schema90 = {"type":"object","properties":{"range":{"type":"string"},"reason":{"type":"string"}},"required":["range","reason"]};

function validate86(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.range === undefined) && (missing0 = "range")) || ((data.reason === undefined) && (missing0 = "reason"))){
validate86.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.range !== undefined){
const _errs1 = errors;
if(typeof data.range !== "string"){
validate86.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reason !== undefined){
const _errs3 = errors;
if(typeof data.reason !== "string"){
validate86.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate86.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate86.errors = vErrors;
return errors === 0;
}

const TableFullError = validate87;
const schema91 = {"description":"The allocation table has no room for the change.","type":"object","properties":{"range":{"type":"string"},"stateBytesMax":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["range","stateBytesMax"]};

function validate87(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.range === undefined) && (missing0 = "range")) || ((data.stateBytesMax === undefined) && (missing0 = "stateBytesMax"))){
validate87.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.range !== undefined){
const _errs1 = errors;
if(typeof data.range !== "string"){
validate87.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.stateBytesMax !== undefined){
let data1 = data.stateBytesMax;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate87.errors = [{instancePath:instancePath+"/stateBytesMax",schemaPath:"#/properties/stateBytesMax/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate87.errors = [{instancePath:instancePath+"/stateBytesMax",schemaPath:"#/properties/stateBytesMax/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate87.errors = [{instancePath:instancePath+"/stateBytesMax",schemaPath:"#/properties/stateBytesMax/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate87.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate87.errors = vErrors;
return errors === 0;
}

const LimitExceededError = validate88;
const schema92 = {"description":"A limit of the protocol or the configuration, by name.","type":"object","properties":{"limit":{"type":"string"},"max":{"type":"integer","minimum":-9007199254740991,"maximum":9007199254740991}},"required":["limit","max"]};

function validate88(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.limit === undefined) && (missing0 = "limit")) || ((data.max === undefined) && (missing0 = "max"))){
validate88.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.limit !== undefined){
const _errs1 = errors;
if(typeof data.limit !== "string"){
validate88.errors = [{instancePath:instancePath+"/limit",schemaPath:"#/properties/limit/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.max !== undefined){
let data1 = data.max;
const _errs3 = errors;
if(!(((typeof data1 == "number") && (!(data1 % 1) && !isNaN(data1))) && (isFinite(data1)))){
validate88.errors = [{instancePath:instancePath+"/max",schemaPath:"#/properties/max/type",keyword:"type",params:{type: "integer"}}];
return false;
}
if(errors === _errs3){
if((typeof data1 == "number") && (isFinite(data1))){
if(data1 > 9007199254740991 || isNaN(data1)){
validate88.errors = [{instancePath:instancePath+"/max",schemaPath:"#/properties/max/maximum",keyword:"maximum",params:{comparison: "<=", limit: 9007199254740991}}];
return false;
}
else {
if(data1 < -9007199254740991 || isNaN(data1)){
validate88.errors = [{instancePath:instancePath+"/max",schemaPath:"#/properties/max/minimum",keyword:"minimum",params:{comparison: ">=", limit: -9007199254740991}}];
return false;
}
}
}
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate88.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate88.errors = vErrors;
return errors === 0;
}

const BusyError = validate89;
const schema93 = {"description":"The same object is being changed by another call.","type":"object","properties":{"name":{"type":"string"},"operation":{"type":"string"}},"required":["name","operation"]};

function validate89(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((data.name === undefined) && (missing0 = "name")) || ((data.operation === undefined) && (missing0 = "operation"))){
validate89.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.name !== undefined){
const _errs1 = errors;
if(typeof data.name !== "string"){
validate89.errors = [{instancePath:instancePath+"/name",schemaPath:"#/properties/name/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.operation !== undefined){
const _errs3 = errors;
if(typeof data.operation !== "string"){
validate89.errors = [{instancePath:instancePath+"/operation",schemaPath:"#/properties/operation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
}
}
}
else {
validate89.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate89.errors = vErrors;
return errors === 0;
}

const ConsoleOffError = validate90;
const schema94 = {"description":"The configuration does not start the debug console.","type":"object","properties":{}};

function validate90(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(!(data && typeof data == "object" && !Array.isArray(data))){
validate90.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate90.errors = vErrors;
return errors === 0;
}

const ConfigInvalidError = validate91;
const schema95 = {"description":"The configuration file is not good; the running configuration stays.","type":"object","properties":{"reason":{"type":"string"}},"required":["reason"]};

function validate91(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if((data.reason === undefined) && (missing0 = "reason")){
validate91.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.reason !== undefined){
if(typeof data.reason !== "string"){
validate91.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
}
}
}
else {
validate91.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate91.errors = vErrors;
return errors === 0;
}

const SourceFailedError = validate92;
const schema96 = {"description":"The source could not do it: what, and the system's error.","type":"object","properties":{"range":{"type":"string"},"operation":{"type":"string"},"code":{"type":"string"},"reason":{"type":"string"}},"required":["range","operation","code","reason"]};

function validate92(data, {instancePath="", parentData, parentDataProperty, rootData=data}={}){
let vErrors = null;
let errors = 0;
if(errors === 0){
if(data && typeof data == "object" && !Array.isArray(data)){
let missing0;
if(((((data.range === undefined) && (missing0 = "range")) || ((data.operation === undefined) && (missing0 = "operation"))) || ((data.code === undefined) && (missing0 = "code"))) || ((data.reason === undefined) && (missing0 = "reason"))){
validate92.errors = [{instancePath,schemaPath:"#/required",keyword:"required",params:{missingProperty: missing0}}];
return false;
}
else {
if(data.range !== undefined){
const _errs1 = errors;
if(typeof data.range !== "string"){
validate92.errors = [{instancePath:instancePath+"/range",schemaPath:"#/properties/range/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs1 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.operation !== undefined){
const _errs3 = errors;
if(typeof data.operation !== "string"){
validate92.errors = [{instancePath:instancePath+"/operation",schemaPath:"#/properties/operation/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs3 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.code !== undefined){
const _errs5 = errors;
if(typeof data.code !== "string"){
validate92.errors = [{instancePath:instancePath+"/code",schemaPath:"#/properties/code/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs5 === errors;
}
else {
var valid0 = true;
}
if(valid0){
if(data.reason !== undefined){
const _errs7 = errors;
if(typeof data.reason !== "string"){
validate92.errors = [{instancePath:instancePath+"/reason",schemaPath:"#/properties/reason/type",keyword:"type",params:{type: "string"}}];
return false;
}
var valid0 = _errs7 === errors;
}
else {
var valid0 = true;
}
}
}
}
}
}
else {
validate92.errors = [{instancePath,schemaPath:"#/type",keyword:"type",params:{type: "object"}}];
return false;
}
}
validate92.errors = vErrors;
return errors === 0;
}


export const validateIn: Readonly<Record<BrokerMethodName, Validator>> = {
  GetStatus: GetStatusIn,
  ListRanges: ListRangesIn,
  ListAllocations: ListAllocationsIn,
  GetAllocation: GetAllocationIn,
  Allocate: AllocateIn,
  Grow: GrowIn,
  SetMetadata: SetMetadataIn,
  Share: ShareIn,
  CreateMapping: CreateMappingIn,
  RevokeMapping: RevokeMappingIn,
  Release: ReleaseIn,
  Claim: ClaimIn,
  Freeze: FreezeIn,
  Thaw: ThawIn,
  Verify: VerifyIn,
  MarkPoisoned: MarkPoisonedIn,
  ListPoisoned: ListPoisonedIn,
  GetRecovery: GetRecoveryIn,
  GetStatistics: GetStatisticsIn,
  ReadAllocation: ReadAllocationIn,
  OpenConsole: OpenConsoleIn,
  Reload: ReloadIn,
  SetLogLevel: SetLogLevelIn,
  Watch: WatchIn,
  ListClients: ListClientsIn,
}

export const validateOut: Readonly<Record<BrokerMethodName, Validator>> = {
  GetStatus: GetStatusOut,
  ListRanges: ListRangesOut,
  ListAllocations: ListAllocationsOut,
  GetAllocation: GetAllocationOut,
  Allocate: AllocateOut,
  Grow: GrowOut,
  SetMetadata: SetMetadataOut,
  Share: ShareOut,
  CreateMapping: CreateMappingOut,
  RevokeMapping: RevokeMappingOut,
  Release: ReleaseOut,
  Claim: ClaimOut,
  Freeze: FreezeOut,
  Thaw: ThawOut,
  Verify: VerifyOut,
  MarkPoisoned: MarkPoisonedOut,
  ListPoisoned: ListPoisonedOut,
  GetRecovery: GetRecoveryOut,
  GetStatistics: GetStatisticsOut,
  ReadAllocation: ReadAllocationOut,
  OpenConsole: OpenConsoleOut,
  Reload: ReloadOut,
  SetLogLevel: SetLogLevelOut,
  Watch: WatchOut,
  ListClients: ListClientsOut,
}

export const validateError: Readonly<Record<BrokerErrorName, Validator>> = {
  NotFound: NotFoundError,
  NameTaken: NameTakenError,
  InvalidArgument: InvalidArgumentError,
  NoSpace: NoSpaceError,
  QuotaExceeded: QuotaExceededError,
  PermissionDenied: PermissionDeniedError,
  AlreadyClaimed: AlreadyClaimedError,
  NotClaimed: NotClaimedError,
  Frozen: FrozenError,
  RangeReadOnly: RangeReadOnlyError,
  TableFull: TableFullError,
  LimitExceeded: LimitExceededError,
  Busy: BusyError,
  ConsoleOff: ConsoleOffError,
  ConfigInvalid: ConfigInvalidError,
  SourceFailed: SourceFailedError,
}
